// Joins the partial lines of each stream and chooses the records that a reader asked for.

import type { LogRecord } from "../gen/berth/v1/engine.ts";
import { type LogLine, nanosOf, parseLogLine } from "./log-line.ts";

/** A line longer than this is passed on in parts. */
const MAX_JOINED = 256 * 1024;
const NEWLINE = Buffer.from("\n");

interface Pending {
  readonly time: string;
  readonly stderr: boolean;
  readonly parts: Buffer[];
  size: number;
}

export class LogJoiner {
  readonly #sinceNs: bigint;
  readonly #pending = new Map<boolean, Pending>();
  /** Lines that were not of the log format. */
  garbage = 0;

  constructor(sinceNs: bigint) {
    this.#sinceNs = sinceNs;
  }

  /** Takes one line of the file (without its line feed); the record that it completes, if any. */
  add(line: Buffer): LogRecord | null {
    const parsed = parseLogLine(line);
    if (parsed === null) {
      this.garbage++;
      return null;
    }
    const pending = this.#pending.get(parsed.stderr);
    if (pending === undefined && !parsed.partial) return this.#choose(parsed.time, parsed, [parsed.content]);
    const line_ = pending ?? { time: parsed.time, stderr: parsed.stderr, parts: [], size: 0 };
    line_.parts.push(parsed.content);
    line_.size += parsed.content.length;
    if (parsed.partial && line_.size < MAX_JOINED) {
      this.#pending.set(parsed.stderr, line_);
      return null;
    }
    this.#pending.delete(parsed.stderr);
    return this.#choose(line_.time, parsed, line_.parts);
  }

  /** What is left of lines that were never completed. */
  flush(): LogRecord[] {
    const records = [...this.#pending.values()].map(({ time, stderr, parts }) =>
      this.#choose(time, { stderr, partial: true }, parts),
    );
    this.#pending.clear();
    return records.filter((record) => record !== null);
  }

  #choose(time: string, { stderr, partial }: Pick<LogLine, "stderr" | "partial">, parts: Buffer[]) {
    if (this.#sinceNs > 0n && (nanosOf(time) ?? 0n) < this.#sinceNs) return null;
    return { time, stderr, content: Buffer.concat(partial ? parts : [...parts, NEWLINE]) };
  }
}
