// A monitor whose every byte the test decides: a server on a unix socket of its own.

import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { expect } from "vitest";
import { FRAME, type Frame, FrameReader, PayloadWriter } from "../../../src/monitor/protocol.ts";

export const podId = "ab".repeat(32);
export const containerId = "cd".repeat(32);

/** One accepted connection, as the monitor sees it. */
export class Peer {
  readonly socket: Socket;
  /** Resolves when the daemon has ended its sending direction. */
  readonly ended: Promise<void>;
  readonly closed: Promise<void>;
  readonly #reader = new FrameReader();
  readonly #waiting: ((frame: Frame) => void)[] = [];
  readonly #frames: Frame[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    this.ended = new Promise((resolve) => socket.once("end", resolve));
    this.closed = new Promise((resolve) => socket.once("close", () => resolve()));
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => {
      this.#reader.push(chunk);
      for (let frame = this.#reader.next(); frame !== null; frame = this.#reader.next()) {
        const take = this.#waiting.shift();
        if (take === undefined) this.#frames.push(frame);
        else take(frame);
      }
    });
  }

  next(): Promise<Frame> {
    const frame = this.#frames.shift();
    if (frame !== undefined) return Promise.resolve(frame);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async expect(type: number): Promise<Frame> {
    const frame = await this.next();
    expect(frame.type).toBe(type);
    return frame;
  }

  send(type: number, id = 0, payload: PayloadWriter = new PayloadWriter()): void {
    this.socket.write(payload.frame(type, id));
  }

  welcome(version = 1): void {
    const welcome = new PayloadWriter().u16(version).u32(7).u32(0);
    this.send(FRAME.WELCOME, 0, version >= 2 ? welcome.u32(0) : welcome);
  }
}

export class ScriptedMonitor {
  readonly directory = mkdtempSync("/tmp/berth-monitor-");
  readonly socketPath = join(this.directory, "m");
  readonly #peers: Peer[] = [];
  readonly #waiting: ((peer: Peer) => void)[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    const peer = new Peer(socket);
    const take = this.#waiting.shift();
    if (take === undefined) this.#peers.push(peer);
    else take(peer);
  });

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(this.socketPath, resolve));
    return this;
  }

  accept(): Promise<Peer> {
    const peer = this.#peers.shift();
    if (peer !== undefined) return Promise.resolve(peer);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Lets everything that is ready now happen. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
}

export function processPayload(pid: number, startTime: number): PayloadWriter {
  return new PayloadWriter().u32(pid).u64(startTime);
}

export function failedPayload(index: number, errno: string, primitive: string, path: string): PayloadWriter {
  return new PayloadWriter().u32(index).str(errno).str(primitive).str(path);
}
