// One line of a container's log file: "<RFC 3339 time> <stdout|stderr> <P|F> <content>" (CRI logging
// format). P: the line goes on in the stream's next record; F: it is complete.

export interface LogLine {
  readonly time: string;
  readonly stderr: boolean;
  readonly partial: boolean;
  /** Without the line feed. */
  readonly content: Buffer;
}

const SPACE = 0x20;
/** No time, stream and tag are longer than this together. */
const MAX_HEAD = 64;

/** The parsed line (without its line feed), or null when it is not of the format. */
export function parseLogLine(line: Buffer): LogLine | null {
  const timeEnd = line.subarray(0, MAX_HEAD).indexOf(SPACE);
  const streamEnd = line.subarray(0, MAX_HEAD).indexOf(SPACE, timeEnd + 1);
  if (timeEnd < 0 || streamEnd < 0) return null;
  const time = line.toString("latin1", 0, timeEnd);
  const stream = line.toString("latin1", timeEnd + 1, streamEnd);
  if (stream !== "stdout" && stream !== "stderr") return null;
  const found = line.indexOf(SPACE, streamEnd + 1);
  const tagEnd = found < 0 ? line.length : found;
  // Tags may become a list, "P:more"; the first one is this.
  const [tag] = line.toString("latin1", streamEnd + 1, Math.min(tagEnd, streamEnd + MAX_HEAD)).split(":");
  if ((tag !== "P" && tag !== "F") || nanosOf(time) === null) return null;
  return { time, stderr: stream === "stderr", partial: tag === "P", content: line.subarray(tagEnd + 1) };
}

/** Nanoseconds since the epoch of an RFC 3339 time, or null. */
export function nanosOf(time: string): bigint | null {
  const match = /^(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)$/.exec(time);
  if (match === null) return null;
  const [, seconds = "", fraction = "", zone = ""] = match;
  const millis = Date.parse(`${seconds}${zone}`.toUpperCase());
  if (Number.isNaN(millis)) return null;
  return BigInt(millis) * 1_000_000n + BigInt(fraction.padEnd(9, "0"));
}
