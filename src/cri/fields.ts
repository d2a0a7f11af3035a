// Checked readers of single fields. Everything a client sends is suspect: what cannot be kept exactly is
// refused with INVALID_ARGUMENT and the field's path as the CRI spells it ("config.metadata.name").

import { BerthError } from "../lib/errors.ts";
import type { ByteString } from "../types/ids.ts";

/** The error of a field that cannot be used. `problem` completes the sentence: "is missing". */
export function invalidField(path: string, problem: string): BerthError {
  return new BerthError("INVALID_ARGUMENT", `read request: "${path}" ${problem}`);
}

/** A message that has to be there. */
export function present<T>(message: T | undefined, path: string): T {
  if (message === undefined) throw invalidField(path, "is missing");
  return message;
}

/** A string that may reach a system call: a NUL byte would cut it short there, so it is refused here. */
export function text(value: string, path: string): string {
  if (value.includes("\0")) throw invalidField(path, "holds a NUL byte");
  return value;
}

/** A string that has to be there. */
export function filled(value: string, path: string): string {
  if (value === "") throw invalidField(path, "is missing");
  return text(value, path);
}

export function texts(values: readonly string[], path: string): string[] {
  return values.map((value, index) => text(value, `${path}[${index}]`));
}

/** The keys and values of a map whose entries reach the kernel. */
export function textMap(map: Readonly<Record<string, string>>, path: string): Record<string, string> {
  for (const [key, value] of Object.entries(map)) {
    filled(key, `${path} key`);
    text(value, `${path}["${key}"]`);
  }
  return { ...map };
}

/** A 64-bit integer that a double holds exactly. */
export function safeInteger(value: bigint, path: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) {
    throw invalidField(path, `is ${value}: berth takes integers between -(2^53-1) and 2^53-1`);
  }
  return number;
}

/** An integer within bounds, both included. */
export function integerWithin(value: bigint | number, low: number, high: number, path: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < low || number > high) {
    throw invalidField(path, `is ${value}, not within ${low} and ${high}`);
  }
  return number;
}

/** A user or group id. The highest 32-bit value means "unchanged" to the kernel and is none. */
export function numericId(value: bigint, path: string): number {
  return integerWithin(value, 0, 0xffff_fffe, path);
}

/** Seconds to wait, 0 or more. */
export function seconds(value: bigint, path: string): number {
  return integerWithin(value, 0, Number.MAX_SAFE_INTEGER, path);
}

/** The name of an enum's value: `names` lists them from 0 upwards. */
export function enumName<Name extends string>(names: readonly Name[], value: number, path: string): Name {
  const name = names[value];
  if (name === undefined) throw invalidField(path, `is ${value}, which is none of ${names.join(", ")}`);
  return name;
}

/** The UTF-8 bytes of `value`, one per character. */
export function byteString(value: string): ByteString {
  return Buffer.from(value, "utf8").toString("latin1");
}
