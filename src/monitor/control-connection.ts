// The daemon's own connection to a pod's monitor: requests, their answers, and news of exits.

import { BerthError, messageOf } from "../lib/errors.ts";
import type { PodId } from "../types/ids.ts";
import { FrameConnection, notify } from "./frame-connection.ts";
import { decodeExited, decodeFailed, decodeWelcome, encodeHello, type Welcome } from "./messages.ts";
import type { MonitorEvents } from "./monitor.ts";
import { FRAME, type Frame, malformed, PROTOCOL_VERSION } from "./protocol.ts";

interface Pending {
  answer(payload: Buffer): void;
  fail(error: Error): void;
}

const LAST_ID = 0xffff_ffff;

export class ControlConnection {
  readonly #connection: FrameConnection;
  readonly #podId: PodId;
  readonly #events: MonitorEvents;
  readonly #pending = new Map<number, Pending>();
  #greeting: { resolve(welcome: Welcome): void; reject(error: Error): void } | null = null;
  #lastId = 0;
  /** Why nothing can be asked any more. */
  #gone: BerthError | null = null;
  /** The monitor was asked to end: its going away is no loss. */
  #leaving = false;

  /** Use greet() next, and nothing else before it resolved. */
  constructor(podId: PodId, socketPath: string, events: MonitorEvents) {
    this.#podId = podId;
    this.#events = events;
    this.#connection = new FrameConnection(socketPath, {
      onFrame: (frame) => this.#take(frame),
      onEnd: (cause) => this.#lose(cause),
    });
    this.#connection.send(encodeHello());
  }

  /** What the monitor tells first. Rejects: UNAVAILABLE, or FAILED_PRECONDITION for an unknown version. */
  greet(timeoutMs: number): Promise<Welcome> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer);
        this.#greeting = null;
      };
      const fail = (error: Error) => {
        settle();
        this.close();
        reject(error);
      };
      const timer = setTimeout(() => {
        fail(new BerthError("UNAVAILABLE", `no answer within ${timeoutMs} ms`));
      }, timeoutMs);
      const welcome = (message: Welcome) => {
        if (message.version < 1 || message.version > PROTOCOL_VERSION) {
          fail(unknownVersion(message.version));
          return;
        }
        settle();
        // News that came along waits until the caller has taken the greeting in.
        this.#connection.hold();
        setImmediate(() => this.#connection.release());
        resolve(message);
      };
      this.#greeting = { resolve: welcome, reject: fail };
    });
  }

  /** Sends the frame that `encode` makes of a fresh id; `decode` reads the payload of DONE. */
  request<T>(encode: (id: number) => Buffer, decode: (payload: Buffer) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#gone !== null) throw this.#gone;
      const id = this.#freshId();
      const frame = encode(id);
      this.#pending.set(id, { answer: (payload) => resolve(decode(payload)), fail: reject });
      this.#connection.send(frame);
    });
  }

  /** Like request(), of a monitor that ends: the end of the connection is an answer too. */
  async leave(encode: (id: number) => Buffer): Promise<void> {
    if (this.#gone !== null) return;
    this.#leaving = true;
    try {
      await this.request(encode, () => {});
    } catch (error) {
      if (this.#gone !== null) return;
      this.#leaving = false;
      throw error;
    }
  }

  close(): void {
    this.#connection.destroy();
    this.#end(new BerthError("UNAVAILABLE", `the connection to ${this.#name} was closed`));
  }

  get #name(): string {
    return `the monitor of pod "${this.#podId}"`;
  }

  #freshId(): number {
    do {
      this.#lastId = this.#lastId === LAST_ID ? 1 : this.#lastId + 1;
    } while (this.#pending.has(this.#lastId));
    return this.#lastId;
  }

  #take(frame: Frame): void {
    switch (frame.type) {
      case FRAME.WELCOME:
        if (this.#greeting === null) throw malformed("a second WELCOME");
        this.#greeting.resolve(decodeWelcome(frame.payload));
        break;
      case FRAME.DONE:
        this.#settle(frame, (pending) => pending.answer(frame.payload));
        break;
      case FRAME.FAILED:
        this.#settle(frame, (pending) => pending.fail(decodeFailed(frame.payload)));
        break;
      case FRAME.EXITED: {
        const { id, exit } = decodeExited(frame.payload);
        notify(() => this.#events.onExit(id, exit));
        break;
      }
      default:
        throw malformed(`a frame of type ${frame.type} on a control connection`);
    }
  }

  /** A request whose answer is damaged stays pending, and is rejected with the connection's end. */
  #settle(frame: Frame, act: (pending: Pending) => void): void {
    const pending = this.#pending.get(frame.id);
    if (pending === undefined) throw malformed(`an answer to request ${frame.id}, which nobody made`);
    act(pending);
    this.#pending.delete(frame.id);
  }

  #away(cause: Error | null): BerthError {
    const why = cause === null ? "" : `: ${messageOf(cause)}`;
    return new BerthError("UNAVAILABLE", `${this.#name} went away${why}`, { cause });
  }

  #lose(cause: Error | null): void {
    if (this.#greeting !== null) {
      const why = cause ?? new Error("the monitor closed the connection before it said anything");
      this.#greeting.reject(why);
      return;
    }
    const isLoss = this.#gone === null && !this.#leaving;
    this.#end(this.#away(cause));
    if (isLoss) notify(() => this.#events.onLost(this.#podId));
  }

  #end(reason: BerthError): void {
    if (this.#gone !== null) return;
    this.#gone = reason;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const call of pending) call.fail(reason);
  }
}

function unknownVersion(version: number): BerthError {
  return new BerthError(
    "FAILED_PRECONDITION",
    `the monitor speaks protocol version ${version}, this daemon 1 to ${PROTOCOL_VERSION}: ` +
      "run the daemon that started the pod, or a newer one, or remove the pod",
  );
}
