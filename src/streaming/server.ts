// The HTTP server behind the URLs of Exec, Attach and PortForward. A URL holds a token that is good for one
// connection. Everything that follows is hostile: whoever found the port may talk to it.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Logger } from "../lib/call.ts";
import { BerthError, messageOf, wrapError } from "../lib/errors.ts";
import type { StreamingConfig } from "../types/config.ts";
import { Certificate } from "./certificate.ts";
import { type ServedConnection, serveUpgrade } from "./serve-upgrade.ts";
import type { StreamGrants, StreamTarget } from "./target.ts";
import { TokenDesk } from "./tokens.ts";
import { refuse, type Upgrade } from "./upgrade.ts";

/** How long a client may take to open its streams. */
const STREAM_CREATION_MS = 30_000;
const REQUEST_MS = 10_000;
const CHECK_MS = 2_000;
const MAX_HEADER_BYTES = 16 * 1024;
const MAX_CONNECTIONS = 4096;
const KEEP_ALIVE_MS = 30_000;
/** How long connections may take to end in good order. */
const CLOSE_MS = 3_000;
/** How often the certificate's files are looked at. */
const CERTIFICATE_MS = 10_000;

const PATH = /^\/(exec|attach|portforward)\/([A-Za-z0-9_-]{1,64})$/;

export interface StreamingOptions {
  readonly streamCreationMs?: number;
  readonly certificateMs?: number;
}

export class StreamingServer implements StreamGrants {
  readonly #config: StreamingConfig;
  readonly #log: Logger;
  readonly #streamCreationMs: number;
  readonly #certificateMs: number;
  readonly #certificate: Certificate | null;
  readonly #tokens = new TokenDesk<StreamTarget>();
  readonly #connections = new Set<ServedConnection>();
  #server: Server | null = null;
  #base = "";

  constructor(config: StreamingConfig, log: Logger, options: StreamingOptions = {}) {
    this.#config = config;
    this.#log = log;
    this.#streamCreationMs = options.streamCreationMs ?? STREAM_CREATION_MS;
    this.#certificateMs = options.certificateMs ?? CERTIFICATE_MS;
    this.#certificate = config.tlsCertificate === "" ? null : new Certificate(config, log);
  }

  /** Begins to serve. Rejects, naming the address or the file, when that cannot be. */
  async listen(): Promise<void> {
    const { address, port } = this.#config;
    const server = await this.#makeServer();
    server.maxConnections = MAX_CONNECTIONS;
    server.on("request", (request, response) => answerPlain(request, response));
    server.on("upgrade", (request, socket, head) => this.#take({ request, socket, head }));
    server.on("clientError", (_error, socket) => socket.destroy());
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error) => reject(wrapError(`listen on ${address}:${port} for streaming`, error)));
      server.listen(port, address, resolve);
    });
    server.on("error", (error) => this.#log.error({ error: messageOf(error) }, "streaming server"));
    this.#server = server;
    this.#base = `${this.#certificate === null ? "http" : "https"}://${hostOf(server)}`;
  }

  get url(): string {
    return this.#base;
  }

  /** Connections that are open. */
  get connectionCount(): number {
    return this.#connections.size;
  }

  grant(target: StreamTarget): string {
    if (this.#server === null) {
      throw new BerthError("UNAVAILABLE", "issue a streaming URL: the streaming server does not listen");
    }
    return `${this.#base}/${target.kind}/${this.#tokens.issue(target)}`;
  }

  /** Ends every connection: clients are told why, execs are killed, attached containers go on. */
  async close(): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    this.#server = null;
    this.#certificate?.stop();
    this.#tokens.clear();
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeIdleConnections();
    const reason = new BerthError("UNAVAILABLE", "the container engine is stopping");
    for (const connection of this.#connections) connection.close(reason);
    const timer = setTimeout(() => {
      for (const connection of this.#connections) connection.destroy();
      server.closeAllConnections();
    }, CLOSE_MS);
    await Promise.all([closed, ...[...this.#connections].map((connection) => connection.closed)]);
    clearTimeout(timer);
  }

  async #makeServer(): Promise<Server> {
    const options = {
      headersTimeout: REQUEST_MS,
      requestTimeout: REQUEST_MS,
      connectionsCheckingInterval: CHECK_MS,
      keepAliveTimeout: 1,
      maxHeaderSize: MAX_HEADER_BYTES,
      noDelay: true,
    };
    const certificate = this.#certificate;
    if (certificate === null) return createServer(options);
    const server = createTlsServer({
      ...options,
      ...(await certificate.read()),
      handshakeTimeout: REQUEST_MS,
    });
    certificate.follow(server, this.#certificateMs);
    return server;
  }

  #take(upgrade: Upgrade): void {
    const { socket } = upgrade;
    socket.on("error", () => socket.destroy());
    const target = this.#admit(upgrade);
    if (target === null) return;
    keepAlive(socket);
    const connection = serveUpgrade(upgrade, target, {
      log: this.#log,
      streamCreationMs: this.#streamCreationMs,
    });
    if (connection === null) return;
    this.#connections.add(connection);
    connection.closed.then(() => this.#connections.delete(connection));
  }

  /** What the request's token stands for; null when it was refused. */
  #admit(upgrade: Upgrade): StreamTarget | null {
    const { url, method } = upgrade.request;
    const match = PATH.exec(url ?? "");
    if (match === null) {
      refuse(upgrade, 404, "no such path");
      return null;
    }
    if (method !== "GET" && method !== "POST") {
      refuse(upgrade, 405, `method ${method}: GET or POST is needed`, ["Allow: GET, POST"]);
      return null;
    }
    const [, kind, token = ""] = match;
    const target = this.#server === null ? null : this.#tokens.redeem(token);
    if (target !== null && target.kind === kind) return target;
    refuse(upgrade, 404, "no such token: it was used before, or is older than a minute");
    return null;
  }
}

/** A client whose machine died is noticed. */
function keepAlive(socket: Duplex): void {
  if (socket instanceof Socket) socket.setKeepAlive(true, KEEP_ALIVE_MS);
}

function answerPlain(request: IncomingMessage, response: ServerResponse): void {
  const isKnown = PATH.test(request.url ?? "");
  const text = isKnown ? "an upgrade to SPDY/3.1 or WebSocket is needed" : "no such path";
  const headers = { "content-type": "text/plain; charset=utf-8", connection: "close" };
  response.writeHead(isKnown ? 426 : 404, isKnown ? { ...headers, upgrade: "SPDY/3.1" } : headers);
  response.end(`${text}\n`);
  request.resume();
}

/** "127.0.0.1:4711". Clients on this host reach a server that listens everywhere on the loopback. */
function hostOf(server: Server): string {
  const { address, port, family } = server.address() as AddressInfo;
  if (address === "0.0.0.0") return `127.0.0.1:${port}`;
  if (address === "::") return `[::1]:${port}`;
  return family === "IPv6" ? `[${address}]:${port}` : `${address}:${port}`;
}
