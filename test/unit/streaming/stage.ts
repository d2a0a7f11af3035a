// A streaming server on a free port, with targets that a test plays.

import { once } from "node:events";
import { request } from "node:http";
import type { Duplex } from "node:stream";
import { onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { silentLogger } from "../../../src/lib/call.ts";
import { StreamingServer } from "../../../src/streaming/server.ts";
import type { PortsTarget, ProcessTarget, StreamTarget } from "../../../src/streaming/target.ts";
import { NotingSession } from "../monitor/noting-session.ts";
import { SpdyClient } from "./spdy/client.ts";

export interface Stage {
  readonly server: StreamingServer;
  /** What the targets of `exec` open, in order. */
  readonly sessions: NotingSession[];
  exec(changes?: Partial<ProcessTarget>): string;
  ports(dial: PortsTarget["dial"], ports?: readonly number[]): string;
}

export async function makeStage(streamCreationMs = 5_000): Promise<Stage> {
  const config = { address: "127.0.0.1", port: 0, tlsCertificate: "", tlsKey: "" };
  const server = new StreamingServer(config, silentLogger, { streamCreationMs });
  await server.listen();
  onTestFinished(() => server.close());
  const sessions: NotingSession[] = [];
  const grant = (target: StreamTarget) => server.grant(target);
  return {
    server,
    sessions,
    exec: (changes = {}) =>
      grant({
        ...{ kind: "exec", stdin: false, stdout: true, stderr: false, tty: false, tellsExitCode: true },
        open: async () => {
          const session = new NotingSession();
          sessions.push(session);
          return session;
        },
        ...changes,
      }),
    ports: (dial, ports = []) => grant({ kind: "portforward", title: "the pod", ports, dial }),
  };
}

export interface Refusal {
  readonly status: number;
  readonly text: string;
  readonly headers: NodeJS.Dict<string | string[]>;
}

/** Upgrades to SPDY; the answer of the server when it refuses. */
export async function openSpdy(
  url: string,
  protocols: string | readonly string[],
  options: { method?: string; upgrade?: string } = {},
): Promise<SpdyClient | Refusal> {
  const { method = "POST", upgrade = "SPDY/3.1" } = options;
  const headers = {
    Connection: "Upgrade",
    Upgrade: upgrade,
    ...(protocols.length === 0 ? {} : { "X-Stream-Protocol-Version": protocols as string }),
  };
  const asked = request(url, { method, headers, agent: false });
  asked.end();
  const refused = new Promise<Refusal>((resolve, reject) => {
    asked.once("error", reject);
    asked.once("response", async (response) => {
      let text = "";
      for await (const chunk of response) text += chunk;
      resolve({ status: response.statusCode ?? 0, text, headers: response.headers });
    });
  });
  refused.catch(() => {});
  const upgraded = once(asked, "upgrade").then(([response, socket]) => {
    onTestFinished(() => {
      (socket as Duplex).destroy();
    });
    return Object.assign(new SpdyClient(socket as Duplex), {
      protocol: (response as { headers: Record<string, string> }).headers["x-stream-protocol-version"],
    });
  });
  return await Promise.race([upgraded, refused]);
}

/** A client of WebSocket that keeps all messages. */
export class Messages {
  readonly socket: WebSocket;
  readonly seen: Buffer[] = [];
  readonly closed: Promise<number>;
  readonly opened: Promise<void>;

  constructor(url: string, protocols: string[]) {
    this.socket = new WebSocket(url.replace(/^http/, "ws"), protocols);
    this.socket.on("message", (data) => this.seen.push(data as Buffer));
    this.socket.on("error", () => {});
    this.closed = new Promise((resolve) => this.socket.once("close", resolve));
    this.opened = new Promise((resolve) => this.socket.once("open", () => resolve()));
    onTestFinished(() => this.socket.terminate());
  }

  /** What came on a channel, of a binary protocol. */
  channel(number: number): Buffer {
    return Buffer.concat(
      this.seen.filter((message) => message[0] === number).map((message) => message.subarray(1)),
    );
  }
}
