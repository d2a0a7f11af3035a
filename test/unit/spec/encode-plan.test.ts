// The layout that addon/init/plan.h reads. The vectors in test/vectors/plans are also what the C++ side is
// tested with (see golden.ts for how to write them anew).

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { describeStep } from "../../../src/spec/describe-step.ts";
import { encodePlan } from "../../../src/spec/encode-plan.ts";
import { OP_NUMBERS } from "../../../src/spec/encode-step.ts";
import type { Plan, PlanStep } from "../../../src/types/plan.ts";
import { expectGoldenBytes, expectGoldenJson } from "./golden.ts";
import { EVERY_STEP, VECTORS } from "./plans.ts";

const DIRECTORY = join(import.meta.dirname, "../../vectors/plans");

interface Record64 {
  op: number;
  slot: number;
  options: number;
  a: bigint;
  b: bigint;
  c: bigint;
  strings: string[];
}

/** Reads back what the executor reads, with its checks. */
function decode(bytes: Uint8Array): { header: number[]; records: Record64[] } {
  const view = Buffer.from(bytes);
  const [steps, blob] = [view.readUInt16LE(6), view.readUInt32LE(16)];
  expect(view.readUInt32LE(20)).toBe(view.length);
  const records = Array.from({ length: steps }, (_, index) => {
    const at = 32 + 64 * index;
    const strings = [0, 1, 2, 3].map((number) => {
      const [offset, length] = [
        view.readUInt32LE(at + 32 + 8 * number),
        view.readUInt32LE(at + 36 + 8 * number),
      ];
      const start = blob + offset;
      if (length > 0) expect(view[start + length]).toBe(0);
      return view.toString("latin1", start, start + length);
    });
    return {
      op: view.readUInt16LE(at),
      slot: view.readUInt16LE(at + 2),
      options: view.readUInt32LE(at + 4),
      a: view.readBigUInt64LE(at + 8),
      b: view.readBigUInt64LE(at + 16),
      c: view.readBigUInt64LE(at + 24),
      strings,
    };
  });
  const header = [
    view.readUInt32LE(0),
    view.readUInt16LE(4),
    steps,
    view.readUInt32LE(8),
    view.readUInt32LE(12),
  ];
  return { header, records };
}

function plan(...steps: PlanStep[]): Plan {
  return { cloneFlags: 0x2002_0000, pidNamespace: "container", steps };
}

function record(step: PlanStep): Record64 {
  return decode(encodePlan(plan(step))).records[0]!;
}

test("header", () => {
  expect(decode(encodePlan(plan({ op: "ready" }))).header).toEqual([0x4e4c_5042, 1, 1, 0x2002_0000, 2]);
  expect(encodePlan(plan())).toHaveLength(32);
});

describe("steps", () => {
  test("lists, options and pairs", () => {
    expect(
      record({
        op: "overlay-root",
        base: "/b",
        lowers: ["l/2", "l/1"],
        upper: "c/u",
        work: "c/w",
        attachAt: "/at",
        volatile: true,
        allowDevices: false,
        forceLegacy: true,
      }),
    ).toMatchObject({ op: 10, options: 3, a: 2n, strings: ["/b", "l/2\0l/1", "c/u\0c/w", "/at"] });
    expect(
      record({
        op: "make-node",
        target: "/dev/x",
        mode: 0o20666,
        major: 1,
        minor: 3,
        uid: 2,
        gid: 4,
        setOwner: false,
      }),
    ).toMatchObject({ a: 0o20666n, b: (1n << 32n) | 3n, c: (2n << 32n) | 4n });
  });

  test("infinity and negative numbers", () => {
    const infinite = 2n ** 64n - 1n;
    const limit = record({ op: "rlimit", resource: 4, soft: 0, hard: -1, clamp: true });
    expect([limit.a, limit.b, limit.c, limit.options]).toEqual([4n, 0n, infinite, 1]);
    expect(record({ op: "oom-score", value: -997, clamp: false }).a).toBe(2n ** 64n - 997n);
  });

  test("arguments are UTF-8, the environment is bytes", () => {
    const step = record({ op: "exec", argv: ["sh", "", "ü"], env: ["A=\xff", "B="], path: "/bin" });
    expect([step.a, step.b]).toEqual([3n, 2n]);
    expect(step.strings).toEqual(["sh\0\0\xc3\xbc", "A=\xff\0B=", "/bin", ""]);
  });

  test("groups are an aligned array", () => {
    const bytes = encodePlan(
      plan({ op: "chdir", directory: "/a" }, { op: "set-groups", groups: [7, 2 ** 32 - 2] }),
    );
    const { records } = decode(bytes);
    expect(Buffer.from(records[1]!.strings[0]!, "latin1")).toEqual(
      Buffer.from([7, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff]),
    );
    expect(Buffer.from(bytes).readUInt32LE(32 + 64 + 32) % 8).toBe(0);
  });

  test("sysctl keys become paths", () => {
    expect(record({ op: "sysctl", key: "net.core.somaxconn", value: "1" }).strings[0]).toBe(
      "net/core/somaxconn",
    );
  });

  test.each([
    ["argument", { op: "exec", argv: ["a\0b"], env: [], path: "" }],
    ["variable", { op: "exec", argv: ["a"], env: ["A=\0"], path: "" }],
    ["path", { op: "chdir", directory: "/\0" }],
  ] as [string, PlanStep][])("a NUL in an %s is refused", (_, step) => {
    expect(() => encodePlan(plan(step))).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });

  test("too many are refused", () => {
    const steps = Array.from({ length: 4097 }, (): PlanStep => ({ op: "ready" }));
    expect(() => encodePlan(plan(...steps))).toThrow("at most 4096");
  });
});

test("a program that is not argv[0]", () => {
  const step: PlanStep = {
    op: "exec",
    argv: ["hook", "-v"],
    env: [],
    path: "/bin",
    file: "/usr/libexec/hook",
  };
  expect(record(step).strings).toEqual(["hook\0-v", "", "/bin", "/usr/libexec/hook"]);
});

test("every operation has its number, in the order of the union, and a description", () => {
  expect(EVERY_STEP.map((step) => OP_NUMBERS[step.op])).toEqual(Array.from({ length: 53 }, (_, i) => i + 1));
  expect(Object.keys(OP_NUMBERS)).toHaveLength(53);
  for (const step of EVERY_STEP) expect(describeStep(step)).toMatch(/^[a-z]/);
});

describe("vectors", () => {
  test.each(Object.entries(VECTORS))("%s", (name, vector) => {
    expectGoldenJson(join(DIRECTORY, `${name}.json`), vector);
    expectGoldenBytes(join(DIRECTORY, `${name}.bin`), encodePlan(vector));
  });

  test("nothing else lies there", () => {
    const names = readdirSync(DIRECTORY).map((file) => file.replace(/\.[a-z0-9]+$/, ""));
    expect([...new Set(names)].sort()).toEqual(Object.keys(VECTORS).sort());
  });
});
