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
const ALIGNMENT = 8;
const LOW_HALF = 0x1_0000_0000;

type StepString = NonNullable<ReturnType<typeof encodeStep>["strings"]>[number];

/**
 * Lays a plan out. INVALID_ARGUMENT when a string holds a NUL or there are more than 4096 steps. Every create
 * and exec waits for this, mostly in code that no compiler has looked at yet: so few calls, little garbage.
 */
export function encodePlan(plan: Plan): Uint8Array {
  if (plan.steps.length > MAX_STEPS) {
    throw new BerthError("INVALID_ARGUMENT", `plan of ${plan.steps.length} steps: at most ${MAX_STEPS} work`);
  }
  const layout = new Layout(HEADER_BYTES + RECORD_BYTES * plan.steps.length);
  let at = HEADER_BYTES;
  for (const step of plan.steps) {
    writeRecord(layout, at, step);
    at += RECORD_BYTES;
  }
  const { view } = layout;
  view.setUint32(0, MAGIC, true);
  view.setUint16(4, VERSION, true);
  view.setUint16(6, plan.steps.length, true);
  view.setUint32(8, plan.cloneFlags, true);
  view.setUint32(12, PID_NAMESPACES[plan.pidNamespace], true);
  view.setUint32(16, layout.blobOffset, true);
  view.setUint32(20, layout.end, true);
  return layout.bytes.subarray(0, layout.end);
}

/** The buffer: records first, then strings in the order they were added. What nobody wrote is zero. */
class Layout {
  readonly blobOffset: number;
  bytes: Buffer;
  view: DataView;
  /** Behind the last string and its NUL. */
  end: number;

  constructor(blobOffset: number) {
    this.blobOffset = blobOffset;
    this.bytes = Buffer.alloc(2 * blobOffset);
    this.view = viewOf(this.bytes);
    this.end = blobOffset;
  }

  /** Adds bytes and notes their place at `pair`. Aligned: filters and groups are arrays of structures. */
  addBytes(pair: number, bytes: Uint8Array): void {
    const from = this.#begin(bytes.length);
    this.bytes.set(bytes, from);
    this.#finish(pair, from, bytes.length);
  }

  /** The same of a text. */
  addText(pair: number, text: string, encoding: "utf8" | "latin1"): void {
    const from = this.#begin(3 * text.length);
    this.#finish(pair, from, this.bytes.write(text, from, encoding));
  }

  /** Makes room for a string of at most `atMost` bytes and its NUL, and returns where it goes. */
  #begin(atMost: number): number {
    const blobBytes = this.end - this.blobOffset;
    const from = this.end + (-blobBytes & (ALIGNMENT - 1));
    const needed = from + atMost + 1;
    if (needed > this.bytes.length) {
      const larger = Buffer.alloc(2 * needed);
      this.bytes.copy(larger, 0, 0, this.end);
      this.bytes = larger;
      this.view = viewOf(larger);
    }
    return from;
  }

  #finish(pair: number, from: number, length: number): void {
    this.view.setUint32(pair, from - this.blobOffset, true);
    this.view.setUint32(pair + 4, length, true);
    this.end = from + length + 1;
  }
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function writeRecord(layout: Layout, at: number, step: PlanStep): void {
  const { slot, options, a, b, c, strings } = encodeStep(step);
  const { view } = layout;
  view.setUint16(at, OP_NUMBERS[step.op], true);
  if (slot !== undefined) view.setUint16(at + 2, slot, true);
  if (options !== undefined) view.setUint32(at + 4, options, true);
  if (a !== undefined) writeWide(view, at + 8, a);
  if (b !== undefined) writeWide(view, at + 16, b);
  if (c !== undefined) writeWide(view, at + 24, c);
  if (strings === undefined) return;
  let pair = at + STRINGS_AT;
  for (const field of strings) {
    addString(layout, pair, step, field);
    pair += 8;
  }
}

/** Two's complement, so that -1 is "infinite". */
function writeWide(view: DataView, at: number, value: number | bigint): void {
  if (typeof value === "bigint") {
    view.setBigUint64(at, value, true);
    return;
  }
  view.setUint32(at, value, true);
  view.setUint32(at + 4, Math.floor(value / LOW_HALF), true);
}

/** A string, a list of strings (separated by NUL), or bytes as they are. */
function addString(layout: Layout, pair: number, step: PlanStep, field: StepString): void {
  if (typeof field === "string") {
    refuseNul(step, field);
    layout.addText(pair, field, "utf8");
  } else if (field instanceof Uint8Array) {
    layout.addBytes(pair, field);
  } else {
    for (const value of field.values) refuseNul(step, value);
    layout.addText(pair, field.values.join("\0"), field.encoding ?? "utf8");
  }
}

function refuseNul(step: PlanStep, value: string): void {
  if (!value.includes("\0")) return;
  throw new BerthError("INVALID_ARGUMENT", `${describeStep(step)}: a NUL byte in ${JSON.stringify(value)}`);
}
