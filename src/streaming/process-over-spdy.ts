// Exec and attach over SPDY: the client opens one stream per channel, named by its header "streamtype".

import { BerthError } from "../lib/errors.ts";
import type { ProcessChannels } from "./join-process.ts";
import type { ChannelProtocol } from "./protocols.ts";
import type { SpdyStream } from "./spdy/stream.ts";
import type { ProcessTarget } from "./target.ts";

type ChannelName = "error" | "stdin" | "stdout" | "stderr" | "resize";

/** The streams that the client has to open, no more and no less. */
export function expectedStreams(target: ProcessTarget, version: number): Set<ChannelName> {
  const expected = new Set<ChannelName>(["error"]);
  if (target.stdin) expected.add("stdin");
  if (target.stdout) expected.add("stdout");
  // A terminal has one output only.
  if (target.stderr && !target.tty) expected.add("stderr");
  if (target.tty && version >= 3) expected.add("resize");
  return expected;
}

/** Collects the streams of one client. */
export class StreamCollector {
  readonly complete: Promise<ProcessChannels>;
  readonly #expected: Set<ChannelName>;
  readonly #version: number;
  readonly #streams = new Map<ChannelName, SpdyStream>();
  readonly #outcome = Promise.withResolvers<ProcessChannels>();
  readonly #timer: NodeJS.Timeout;

  /** `complete` rejects with DEADLINE_EXCEEDED after `timeoutMs`. */
  constructor(target: ProcessTarget, { version }: ChannelProtocol, timeoutMs: number) {
    this.complete = this.#outcome.promise;
    this.complete.catch(() => {});
    this.#expected = expectedStreams(target, version);
    this.#version = version;
    this.#timer = setTimeout(() => this.fail(this.#late(timeoutMs)), timeoutMs);
  }

  /** Takes a stream that belongs to the set, and refuses every other one. */
  take(stream: SpdyStream): void {
    const name = (stream.headers.get("streamtype") ?? "").toLowerCase() as ChannelName;
    if (!this.#expected.has(name) || this.#streams.has(name)) {
      stream.refuse();
      return;
    }
    this.#streams.set(name, stream.accept());
    if (this.#streams.size < this.#expected.size) return;
    clearTimeout(this.#timer);
    this.#outcome.resolve(this.#channels());
  }

  /** Nobody waits for the streams any more. */
  fail(error: Error): void {
    clearTimeout(this.#timer);
    this.#outcome.reject(error);
  }

  #channels(): ProcessChannels {
    const of = (name: ChannelName) => this.#streams.get(name) ?? null;
    // What clients send on channels of the other direction, their end above all, is taken and dropped.
    for (const name of ["error", "stdout", "stderr"] as const) of(name)?.resume();
    return {
      stdin: of("stdin"),
      stdout: of("stdout"),
      stderr: of("stderr"),
      resize: of("resize"),
      error: of("error") as SpdyStream,
      version: this.#version,
    };
  }

  #late(timeoutMs: number): BerthError {
    const missing = [...this.#expected].filter((name) => !this.#streams.has(name));
    return new BerthError(
      "DEADLINE_EXCEEDED",
      `the client did not open its streams within ${timeoutMs} ms: ${missing.join(", ")} are missing`,
    );
  }
}
