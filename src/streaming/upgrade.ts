// From an HTTP request to the connection that it asks for: SPDY/3.1 or WebSocket, and the protocol within.

import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { type ChannelProtocol, chooseProtocol, offeredNames } from "./protocols.ts";

/** A request with a socket of its own. */
export interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /** What came behind the request. */
  readonly head: Buffer;
}

/** How long a client that was refused may take to close. */
const REFUSED_MS = 1_000;
/** What one message of a client may hold; those that are known send far less. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
const MAX_FRAGMENTS = 1024;
/** Answers to pings that the client does not read, before further pings are not answered. */
const MAX_UNREAD_BYTES = 64 * 1024;

const REASONS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  503: "Service Unavailable",
};

/** Answers without an upgrade, and closes. */
export function refuse({ socket }: Upgrade, status: number, text: string, headers: string[] = []): void {
  const body = `${text}\n`;
  const lines = [
    `HTTP/1.1 ${status} ${REASONS[status] ?? "Error"}`,
    "Content-Type: text/plain; charset=utf-8",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Connection: close",
    ...headers,
  ];
  socket.end(`${lines.join("\r\n")}\r\n\r\n${body}`);
  socket.resume();
  // A client that does not close its side must not keep a connection that is of no use to it.
  const guard = setTimeout(() => socket.destroy(), REFUSED_MS);
  socket.once("close", () => clearTimeout(guard));
}

export function wantedTransport({ request }: Upgrade): "spdy" | "websocket" | null {
  const wanted = offeredNames(request.headers.upgrade).map((name) => name.toLowerCase());
  if (wanted.includes("websocket")) return "websocket";
  return wanted.includes("spdy/3.1") ? "spdy" : null;
}

/** Switches to SPDY; the protocol that was agreed on. Null when there is none: the client was told. */
export function acceptSpdy(upgrade: Upgrade, known: readonly ChannelProtocol[]): ChannelProtocol | null {
  const header = upgrade.request.headers["x-stream-protocol-version"];
  const offered = offeredNames(Array.isArray(header) ? header.join(",") : header);
  const protocol = offered.length === 0 ? null : chooseProtocol(offered, known);
  if (protocol === null) {
    const names = known.map(({ name }) => name);
    const text = `X-Stream-Protocol-Version offers "${offered.join(", ")}"; known are ${names.join(", ")}`;
    const headers = names.map((name) => `X-Accepted-Stream-Protocol-Versions: ${name}`);
    refuse(upgrade, 403, `unable to upgrade: ${text}`, headers);
    return null;
  }
  const lines = [
    "HTTP/1.1 101 Switching Protocols",
    "Connection: Upgrade",
    "Upgrade: SPDY/3.1",
    `X-Stream-Protocol-Version: ${protocol.name}`,
  ];
  upgrade.socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  return protocol;
}

/** Switches to WebSocket; `serve` gets the connection. Without a common protocol the client is told. */
export function acceptWebSocket(
  upgrade: Upgrade,
  known: readonly ChannelProtocol[],
  serve: (socket: WebSocket, protocol: ChannelProtocol) => void,
): void {
  const { request, socket, head } = upgrade;
  const offered = offeredNames(request.headers["sec-websocket-protocol"]);
  const protocol = chooseProtocol(offered, known);
  if (protocol === null) {
    const names = known.map(({ name }) => name).filter((name) => name !== "");
    const text = `Sec-WebSocket-Protocol offers "${offered.join(", ")}"; known are ${names.join(", ")}`;
    refuse(upgrade, 403, `unable to upgrade: ${text}`);
    return;
  }
  // ws refuses names with a "/" in them, which no token of HTTP has, and one of Kubernetes does.
  delete request.headers["sec-websocket-protocol"];
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE_BYTES,
    maxFragments: MAX_FRAGMENTS,
    autoPong: false,
  });
  server.on("headers", (headers) => {
    if (protocol.name !== "") headers.push(`Sec-WebSocket-Protocol: ${protocol.name}`);
  });
  server.handleUpgrade(request, socket, head, (webSocket) => {
    // Not by ws itself: a client that pings and reads nothing would fill the memory with answers.
    webSocket.on("ping", (data) => {
      if (webSocket.bufferedAmount < MAX_UNREAD_BYTES) webSocket.pong(data);
    });
    serve(webSocket, protocol);
  });
}
