// The compiled filters in a real kernel: a small program loads one and tries system calls under it.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeSeccompKernel, type SeccompNative } from "../../../src/kernel/seccomp.ts";
import { allCapabilities, capabilityMask, DEFAULT_CAPABILITIES } from "../../../src/spec/capabilities.ts";
import type { SeccompTarget } from "../../../src/spec/inputs.ts";
import { defaultSeccompRules } from "../../../src/spec/seccomp-default.ts";
import { parseSeccompProfile } from "../../../src/spec/seccomp-localhost.ts";

const native =
  process.env.BERTH_NATIVE ?? resolve(import.meta.dirname, "../../../out/native/Release/berth.node");
const kernel = makeSeccompKernel(createRequire(import.meta.url)(native) as SeccompNative);
const architecture = process.arch === "x64" ? "x86_64" : "aarch64";
const INSTRUCTION_BYTES = 8;

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "berth-seccomp-"));
  const source = join(import.meta.dirname, "filter-probe.c");
  execFileSync("gcc", ["-static", "-Wall", "-Werror", "-o", join(directory, "probe"), source]);
});

afterAll(() => rmSync(directory, { recursive: true }));

function target(capabilities: bigint): SeccompTarget {
  return { capabilities, architecture, kernelRelease: "6.1.0" };
}

/** errno by name of the attempt. */
function tryCalls(program: Uint8Array): Record<string, number> {
  const file = join(directory, "filter");
  writeFileSync(file, program);
  const output = execFileSync(join(directory, "probe"), [file], { encoding: "utf8" });
  return Object.fromEntries(
    output
      .trim()
      .split("\n")
      .map((line) => line.split(" "))
      .map(([name, errno]) => [name!, Number(errno)]),
  );
}

const [EPERM, EFAULT, EINVAL, ENOSYS, EAFNOSUPPORT] = [1, 14, 22, 38, 97];

describe("default filter", () => {
  test("with the default capabilities denies what reaches out of the container", async () => {
    const program = await kernel.compileSeccomp(
      defaultSeccompRules(target(capabilityMask(DEFAULT_CAPABILITIES))),
    );
    expect(program.length % INSTRUCTION_BYTES).toBe(0);
    // Every container and every exec has the kernel compile it anew.
    expect(program.length / INSTRUCTION_BYTES).toBeLessThan(400);
    expect(tryCalls(program)).toMatchObject({
      getpid: 0,
      setgroups: EINVAL,
      capset: EFAULT,
      mount: EPERM,
      unshare: EPERM,
      sethostname: EPERM,
      bpf: EPERM,
      keyctl: EPERM,
      io_uring_setup: EPERM,
      clone3: ENOSYS,
      "newer-call": ENOSYS,
      clone: 0,
      "clone-user": EPERM,
      "clone-net-pid": EPERM,
      "socket-unix": 0,
      "socket-39": expect.not.toSatisfy((errno: number) => errno === EPERM || errno === ENOSYS),
      "socket-alg": EAFNOSUPPORT,
      "socket-vsock": EAFNOSUPPORT,
      "socket-vsock-high-bits": EAFNOSUPPORT,
      "socket-xdp": expect.not.toSatisfy((errno: number) => errno === EPERM || errno === ENOSYS),
      "personality-query": 0,
      "personality-odd": ENOSYS,
    });
  });

  test("with CAP_SYS_ADMIN lets its calls through to the kernel", async () => {
    const program = await kernel.compileSeccomp(
      defaultSeccompRules(
        target(allCapabilities({ lastCapability: 40, capSysResource: true, deviceFilter: true })),
      ),
    );
    expect(tryCalls(program)).toMatchObject({
      mount: EFAULT,
      unshare: EINVAL,
      sethostname: EINVAL,
      keyctl: EPERM,
      clone3: EINVAL,
      "clone-user": 0,
      "clone-net-pid": 0,
    });
  });

  test("covers 32-bit programs, and x32 does not pass it by", async (ctx) => {
    ctx.skip(architecture !== "x86_64", "x32 and the 32-bit door of 64-bit programs are of x86_64");
    const program = await kernel.compileSeccomp(defaultSeccompRules(target(0n)));
    expect(tryCalls(program)).toMatchObject({ "x32-getpid": ENOSYS, "i386-getpid": 0, "i386-mount": EPERM });
  });
});

describe("Localhost filter", () => {
  test("denies one call and allows the others", async () => {
    const profile = {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [
        { names: ["sethostname", "no_such_call_ever"], action: "SCMP_ACT_ERRNO" },
        { names: ["bpf"], action: "SCMP_ACT_ERRNO", errnoRet: 99 },
      ],
    };
    const rules = parseSeccompProfile("p.json", JSON.stringify(profile), target(0n));
    const results = tryCalls(await kernel.compileSeccomp(rules));
    expect(results).toMatchObject({ sethostname: EPERM, bpf: 99, mount: EFAULT, getpid: 0 });
  });

  test("a rule that says what the default says is no error", async () => {
    const profile = {
      defaultAction: "SCMP_ACT_ERRNO",
      defaultErrnoRet: 1,
      syscalls: [{ names: ["mount"], action: "SCMP_ACT_ERRNO", errnoRet: 1 }],
    };
    const rules = parseSeccompProfile("p.json", JSON.stringify(profile), target(0n));
    expect((await kernel.compileSeccomp(rules)).length).toBeGreaterThan(0);
  });
});

test("compact programs answer as libseccomp's own do", () => {
  const [source, addon] = ["compact-check.cc", "../../../addon"].map((name) =>
    join(import.meta.dirname, name),
  );
  const compact = join(addon as string, "kernel/seccomp_compact.cc");
  const check = join(directory, "compact-check");
  const options = ["-std=c++20", "-O2", "-Wall", "-Werror", `-I${addon}`, "-o", check];
  execFileSync("g++", [...options, source as string, compact, "-lseccomp"]);
  const smaller = execFileSync(check, ["1", "60"], { encoding: "utf8" });
  expect(Number(smaller)).toBeGreaterThan(20);
});

test("an unknown action is named", async () => {
  const rules = { defaultAction: "SCMP_ACT_MAYBE", defaultErrno: 0, architectures: [], rules: [] };
  await expect(kernel.compileSeccomp(rules)).rejects.toMatchObject({
    errno: "EINVAL",
    path: "SCMP_ACT_MAYBE",
  });
});
