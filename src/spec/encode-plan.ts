// A plan as one buffer for the monitor. addon/init/plan.h mirrors the layout and the numbers:
//   header 32 bytes | one record of 64 bytes per step | strings, each followed by a NUL
// Little endian throughout. The field placement of each step is in encode-step.ts.

import { BerthError } from "../lib/errors.ts";
import type { Plan, PlanStep } from "../types/plan.ts";
import { describeStep } from "./describe-step.ts";
import { encodeStep, OP_NUMBERS } from "./encode-step.ts";

const MAGIC = 0x4e4c_5042;
const VERSION = 1;
const HEADER_BYTES = 32;
const RECORD_BYTES = 64;
/** Offset of the four {offset, length} pairs in a record. */
const STRINGS_AT = 32;
const MAX_STEPS = 4096;
const PID_NAMESPACES = { own: 0, pod: 1, container: 2 } as const;

/** Lays a plan out. INVALID_ARGUMENT when a string holds a NUL or there are more than 4096 steps. */
export function encodePlan(plan: Plan): Uint8Array {
  if (plan.steps.length > MAX_STEPS) {
    throw new BerthError("INVALID_ARGUMENT", `plan of ${plan.steps.length} steps: at most ${MAX_STEPS} work`);
  }
  const blobOffset = HEADER_BYTES + RECORD_BYTES * plan.steps.length;
  const records = Buffer.alloc(blobOffset);
  const blob = new Blob();
  plan.steps.forEach((step, index) => {
    writeRecord(records, HEADER_BYTES + RECORD_BYTES * index, step, blob);
  });
  records.writeUInt32LE(MAGIC, 0);
  records.writeUInt16LE(VERSION, 4);
  records.writeUInt16LE(plan.steps.length, 6);
  records.writeUInt32LE(plan.cloneFlags, 8);
  records.writeUInt32LE(PID_NAMESPACES[plan.pidNamespace], 12);
  records.writeUInt32LE(blobOffset, 16);
  records.writeUInt32LE(blobOffset + blob.size, 20);
  return Buffer.concat([records, ...blob.parts]);
}

/** Strings in the order they were added. */
class Blob {
  readonly parts: Uint8Array[] = [];
  size = 0;

  /** Returns the offset of the bytes. Aligned, because filters and group lists are arrays of structures. */
  add(bytes: Uint8Array): number {
    const padding = -this.size & (ALIGNMENT - 1);
    const offset = this.size + padding;
    this.parts.push(new Uint8Array(padding), bytes, NUL);
    this.size = offset + bytes.length + 1;
    return offset;
  }
}

const NUL = new Uint8Array(1);
const ALIGNMENT = 8;

function writeRecord(records: Buffer, at: number, step: PlanStep, blob: Blob): void {
  const fields = encodeStep(step);
  const [slot, options] = [fields.slot ?? 0, fields.options ?? 0];
  records.writeUInt16LE(OP_NUMBERS[step.op], at);
  records.writeUInt16LE(slot, at + 2);
  records.writeUInt32LE(options, at + 4);
  records.writeBigUInt64LE(unsigned(fields.a), at + 8);
  records.writeBigUInt64LE(unsigned(fields.b), at + 16);
  records.writeBigUInt64LE(unsigned(fields.c), at + 24);
  (fields.strings ?? []).forEach((value, index) => {
    const bytes = bytesOfField(step, value);
    records.writeUInt32LE(blob.add(bytes), at + STRINGS_AT + 8 * index);
    records.writeUInt32LE(bytes.length, at + STRINGS_AT + 8 * index + 4);
  });
}

/** Two's complement, so that -1 is "infinite". */
function unsigned(value: number | bigint | undefined): bigint {
  return BigInt.asUintN(64, BigInt(value ?? 0));
}

/** A string, a list of strings (separated by NUL), or bytes as they are. */
function bytesOfField(step: PlanStep, field: StepString): Uint8Array {
  if (field instanceof Uint8Array) return field;
  const { values, encoding } = typeof field === "string" ? { values: [field], encoding: undefined } : field;
  for (const value of values) {
    if (!value.includes("\0")) continue;
    throw new BerthError("INVALID_ARGUMENT", `${describeStep(step)}: a NUL byte in ${JSON.stringify(value)}`);
  }
  return Buffer.from(values.join("\0"), encoding ?? "utf8");
}

type StepString = NonNullable<ReturnType<typeof encodeStep>["strings"]>[number];
