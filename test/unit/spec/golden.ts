// Expected values in files. BERTH_WRITE_GOLDEN=1 writes them anew after a deliberate change; look at the
// difference before committing it.

import { readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";

const writes = process.env.BERTH_WRITE_GOLDEN === "1";

/** The file's JSON, however it is formatted. Numbers that JSON lacks are hexadecimal, bytes as well. */
export function expectGoldenJson(path: string, value: unknown): void {
  const json = JSON.stringify(value, (_, member: unknown) => jsonOf(member), 2);
  if (writes) writeFileSync(path, `${json}\n`);
  expect(JSON.parse(json)).toEqual(JSON.parse(readFileSync(path, "utf8")));
}

export function expectGoldenBytes(path: string, bytes: Uint8Array): void {
  if (writes) writeFileSync(path, bytes);
  expect(Buffer.from(bytes).toString("hex")).toBe(readFileSync(path).toString("hex"));
}

function jsonOf(value: unknown): unknown {
  if (typeof value === "bigint") return `0x${value.toString(16)}`;
  return value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value;
}
