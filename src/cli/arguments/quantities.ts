// Sizes, shares of processors, durations, times and signals as people write them.

import { constants } from "node:os";
import { UsageError } from "../errors.ts";

/** "512m", "2g", "1024" in bytes. @throws UsageError */
export function readSize(flag: string, text: string): bigint {
  const match = /^(\d+)(?:\.(\d{1,6}))?\s*([bkmgt])?(?:i?b)?$/i.exec(text);
  if (match === null)
    throw new UsageError(`invalid value "${text}" for --${flag}: expected a size such as 512m`, 125);
  const [, whole = "", fraction = "", unit = "b"] = match;
  const factor = 1024n ** BigInt("bkmgt".indexOf(unit.toLowerCase()));
  return BigInt(whole) * factor + (BigInt(fraction.padEnd(6, "0")) * factor) / 1_000_000n;
}

/** "1.5" processors as a quota in microseconds of a period of 100 ms. @throws UsageError */
export function readCpus(text: string): { period: bigint; quota: bigint } {
  const cpus = /^\d+(\.\d+)?$|^\.\d+$/.test(text) ? Number(text) : Number.NaN;
  const quota = Math.round(cpus * 100_000);
  // The kernel takes no quota below a millisecond.
  if (!(quota >= 1000))
    throw new UsageError(`invalid value "${text}" for --cpus: expected a number such as 1.5`, 125);
  return { period: 100_000n, quota: BigInt(quota) };
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/**
 * Nanoseconds since the epoch: of a time (RFC 3339, or seconds since the epoch), or of an age before `now`
 * (milliseconds since the epoch).
 *
 * @throws UsageError
 */
export function readSince(text: string, now: number): bigint {
  const seconds = /^(\d{1,11})(?:\.(\d{1,9}))?$/.exec(text);
  if (seconds !== null) {
    return BigInt(seconds[1] as string) * 1_000_000_000n + BigInt((seconds[2] ?? "").padEnd(9, "0"));
  }
  if (/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) {
    let ago = 0;
    for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) {
      ago += Number(number) * (UNITS[unit as string] as number);
    }
    return BigInt(Math.max(0, Math.round(now - ago))) * 1_000_000n;
  }
  const fraction = /\.(\d{1,9})/.exec(text)?.[1] ?? "";
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text.replace(/\.\d+/, "")) : Number.NaN;
  if (Number.isNaN(time)) {
    throw new UsageError(
      `invalid value "${text}" for --since: expected a time (2026-01-02T15:04:05Z) or an age (10m)`,
    );
  }
  return BigInt(time) * 1_000_000n + BigInt(fraction.padEnd(9, "0"));
}

const REALTIME_MIN = 34;

/** Number of a signal: "9", "KILL", "SIGKILL", "SIGRTMIN+3". @throws UsageError */
export function readSignal(flag: string, text: string): number {
  const name = text.toUpperCase().replace(/^SIG/, "");
  const realtime = /^RTMIN(?:\+(\d{1,2}))?$/.exec(name);
  const number = /^\d{1,2}$/.test(name)
    ? Number(name)
    : realtime !== null
      ? REALTIME_MIN + Number(realtime[1] ?? 0)
      : (constants.signals[`SIG${name}` as NodeJS.Signals] ?? 0);
  if (number < 1 || number > 64)
    throw new UsageError(`invalid value "${text}" for --${flag}: no such signal`, 125);
  return number;
}
