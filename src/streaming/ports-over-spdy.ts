// Port-forward over SPDY: for each connection the client opens a pair of streams, "error" and "data", with
// the headers "port" and "requestid" in common (Kubernetes, portforward.k8s.io).

import type { Call } from "../lib/call.ts";
import { Slots } from "../lib/slots.ts";
import { forwardPort } from "./forward-port.ts";
import type { SpdyStream } from "./spdy/stream.ts";
import type { PortsTarget } from "./target.ts";

/** Connections of one client that are being made at once: each takes a thread for a moment. */
const PARALLEL_DIALS = 16;

interface Pair {
  readonly port: number;
  readonly timer: NodeJS.Timeout;
  error?: SpdyStream;
  data?: SpdyStream;
}

export class PortPairs {
  readonly #target: PortsTarget;
  readonly #call: Call;
  readonly #timeoutMs: number;
  readonly #pairs = new Map<string, Pair>();
  readonly #slots = new Slots(PARALLEL_DIALS);

  constructor(target: PortsTarget, call: Call, timeoutMs: number) {
    const dial: PortsTarget["dial"] = (dialling, port) =>
      this.#slots.run(() => target.dial(dialling, port), dialling.signal);
    this.#target = { ...target, dial };
    this.#call = call;
    this.#timeoutMs = timeoutMs;
  }

  /** Takes a stream, refuses one that belongs to no pair. */
  take(stream: SpdyStream): void {
    const type = (stream.headers.get("streamtype") ?? "").toLowerCase();
    const port = Number(stream.headers.get("port"));
    const isLegal = (type === "error" || type === "data") && Number.isInteger(port);
    if (!isLegal || port < 1 || port > 65_535) {
      stream.refuse();
      return;
    }
    const key = requestOf(stream, type);
    const pair = this.#pairs.get(key) ?? this.#begin(key, port);
    if (pair[type] !== undefined || pair.port !== port) {
      stream.refuse();
      return;
    }
    pair[type] = stream.accept();
    stream.once("close", () => this.#abandon(key, pair));
    if (pair.error === undefined || pair.data === undefined) return;
    this.#forget(key, pair);
    this.#forward(port, pair.data, pair.error);
  }

  /** The connection is gone. */
  close(): void {
    for (const pair of this.#pairs.values()) clearTimeout(pair.timer);
    this.#pairs.clear();
  }

  #begin(key: string, port: number): Pair {
    const timer = setTimeout(() => {
      pair.error?.write(`forward port ${port}: no pair of streams within ${this.#timeoutMs} ms`);
      pair.error?.end();
      this.#abandon(key, pair);
    }, this.#timeoutMs);
    const pair: Pair = { port, timer };
    this.#pairs.set(key, pair);
    return pair;
  }

  #forget(key: string, pair: Pair): void {
    clearTimeout(pair.timer);
    if (this.#pairs.get(key) === pair) this.#pairs.delete(key);
  }

  /** The other stream of a pair that never became one goes too. */
  #abandon(key: string, pair: Pair): void {
    if (this.#pairs.get(key) !== pair) return;
    this.#forget(key, pair);
    for (const stream of [pair.error, pair.data]) stream?.resume().destroy();
  }

  #forward(port: number, data: SpdyStream, error: SpdyStream): void {
    // Nothing is to come on it but its end.
    error.resume();
    void forwardPort(this.#target, this.#call, port, {
      input: data,
      output: data,
      error,
      halfCloses: true,
      reset: () => data.destroy(),
    });
  }
}

/** Clients without request ids open the error stream first and the data stream right behind it. */
function requestOf(stream: SpdyStream, type: "error" | "data"): string {
  const given = stream.headers.get("requestid");
  if (given !== undefined && given !== "") return `r${given}`;
  return `s${type === "error" ? stream.id : stream.id - 2}`;
}
