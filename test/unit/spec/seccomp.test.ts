import { describe, expect, test } from "vitest";
import { allCapabilities, capabilityMask, DEFAULT_CAPABILITIES } from "../../../src/spec/capabilities.ts";
import type { SeccompTarget } from "../../../src/spec/inputs.ts";
import { ALLOWED_CALLS, CAPABILITY_CALLS, DENIED_CALLS } from "../../../src/spec/seccomp-calls.ts";
import { seccompChoice } from "../../../src/spec/seccomp-choice.ts";
import { defaultSeccompRules } from "../../../src/spec/seccomp-default.ts";
import { parseSeccompProfile } from "../../../src/spec/seccomp-localhost.ts";
import type { ContainerSecurity } from "../../../src/types/container.ts";
import { HOST, SECURITY } from "./fixture.ts";

const TARGET: SeccompTarget = { capabilities: 0n, architecture: "x86_64", kernelRelease: "6.1.0-18-amd64" };

describe("choice", () => {
  function choose(security: Partial<ContainerSecurity>) {
    return seccompChoice({ security: { ...SECURITY, ...security }, lastCapability: 40 });
  }
  const capabilities = capabilityMask(DEFAULT_CAPABILITIES);

  test.each([
    ["absent", undefined, { type: "unconfined" }],
    ["Unconfined", { type: "Unconfined", localhostRef: "" }, { type: "unconfined" }],
    ["RuntimeDefault", { type: "RuntimeDefault", localhostRef: "" }, { type: "default", capabilities }],
    [
      "Localhost with prefix",
      { type: "Localhost", localhostRef: "localhost/a/b.json" },
      { type: "localhost", name: "a/b.json", capabilities },
    ],
    [
      "Localhost by absolute path",
      { type: "Localhost", localhostRef: "localhost//var/lib/x.json" },
      { type: "localhost", name: "/var/lib/x.json", capabilities },
    ],
  ] as const)("%s", (_, seccomp, expected) => {
    expect(choose({ seccomp })).toEqual(expected);
  });

  test("a privileged container has none", () => {
    const seccomp = { type: "Localhost", localhostRef: "x.json" } as const;
    expect(choose({ seccomp, privileged: true })).toEqual({ type: "unconfined" });
  });

  test.each(["", "localhost/", "../x", "a/../../x", "x\0"])("reference %j is refused", (localhostRef) => {
    expect(() => choose({ seccomp: { type: "Localhost", localhostRef } })).toThrow("seccomp profile");
  });
});

describe("default profile", () => {
  function verdicts(capabilities: bigint): Map<string, string[]> {
    const verdicts = new Map<string, string[]>();
    for (const rule of defaultSeccompRules({ ...TARGET, capabilities }).rules) {
      const action = rule.action === "SCMP_ACT_ALLOW" ? "allow" : String(rule.errno);
      const verdict = rule.args.length > 0 ? `${action}?` : action;
      for (const name of rule.names) verdicts.set(name, [...(verdicts.get(name) ?? []), verdict]);
    }
    return verdicts;
  }

  test.each([0n, capabilityMask(DEFAULT_CAPABILITIES), allCapabilities(HOST)])(
    "no call has two unconditional verdicts with capabilities %d",
    (capabilities) => {
      for (const [name, list] of verdicts(capabilities)) {
        const plain = list.filter((verdict) => !verdict.endsWith("?"));
        expect([name, plain.length <= 1 && (plain.length === 0 || list.length === 1)]).toEqual([name, true]);
      }
    },
  );

  test("capabilities bring their calls, each of several suffices", () => {
    expect(verdicts(0n).get("bpf")).toEqual(["1"]);
    expect(verdicts(capabilityMask(["BPF"])).get("bpf")).toEqual(["allow"]);
    expect(verdicts(capabilityMask(["SYS_ADMIN"])).get("bpf")).toEqual(["allow"]);
    expect(verdicts(capabilityMask(["SYS_ADMIN"])).get("clone")).toEqual(["allow"]);
    expect(verdicts(0n).get("clone3")).toBeUndefined();
    expect(verdicts(allCapabilities(HOST)).get("keyctl")).toEqual(["1"]);
  });

  test("the lists do not contradict each other", () => {
    const conditional = CAPABILITY_CALLS.flatMap((entry) => entry.names);
    expect(new Set(ALLOWED_CALLS).size).toBe(ALLOWED_CALLS.length);
    expect(ALLOWED_CALLS.filter((name) => conditional.includes(name) || DENIED_CALLS.includes(name))).toEqual(
      [],
    );
    expect(DENIED_CALLS.filter((name) => conditional.includes(name))).toEqual([]);
  });

  test("what the monitor still does after loading it is allowed", () => {
    const needed = [
      "setgroups",
      "setresgid",
      "setresuid",
      "capset",
      "prctl",
      "fchown",
      "chdir",
      "getcwd",
      "close_range",
      "rt_sigprocmask",
      "sendmsg",
      "sendto",
      "recvfrom",
      "recvmsg",
      "read",
      "write",
      "execve",
      "exit_group",
    ];
    expect(needed.filter((name) => !ALLOWED_CALLS.includes(name))).toEqual([]);
  });
});

describe("Localhost profile", () => {
  function parse(profile: object, target: Partial<SeccompTarget> = {}) {
    return parseSeccompProfile("p.json", JSON.stringify(profile), { ...TARGET, ...target });
  }
  const base = { defaultAction: "SCMP_ACT_ERRNO" };

  test("all of the format", () => {
    const rules = parse({
      defaultAction: "SCMP_ACT_ERRNO",
      defaultErrnoRet: 38,
      archMap: [
        { architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86", "SCMP_ARCH_X32"] },
        { architecture: "SCMP_ARCH_S390X", subArchitectures: ["SCMP_ARCH_S390"] },
      ],
      flags: ["SECCOMP_FILTER_FLAG_TSYNC"],
      syscalls: [
        {
          names: ["clone"],
          action: "SCMP_ACT_ALLOW",
          args: [{ index: 0, value: 2114060288, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }],
          comment: "no namespaces",
          includes: {},
          excludes: { caps: ["CAP_SYS_ADMIN"], arches: ["s390x"] },
        },
        { name: "read", action: "SCMP_ACT_ERRNO", errnoRet: 5 },
      ],
    });
    expect(rules).toEqual({
      defaultAction: "SCMP_ACT_ERRNO",
      defaultErrno: 38,
      architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
      rules: [
        {
          names: ["clone"],
          action: "SCMP_ACT_ALLOW",
          errno: 0,
          args: [{ index: 0, op: "SCMP_CMP_MASKED_EQ", value: 2114060288n, valueTwo: 0n }],
        },
        { names: ["read"], action: "SCMP_ACT_ERRNO", errno: 5, args: [] },
      ],
    });
  });

  test.each([
    ["cap held", { includes: { caps: ["CAP_BPF"] } }, 1],
    ["cap missing", { includes: { caps: ["CAP_BPF", "CAP_SYS_ADMIN"] } }, 0],
    ["cap excluded", { excludes: { caps: ["CAP_BPF"] } }, 0],
    ["architecture", { includes: { arches: ["amd64", "x86"] } }, 1],
    ["other architecture", { includes: { arches: ["arm64"] } }, 0],
    ["architecture excluded", { excludes: { arches: ["amd64"] } }, 0],
    ["kernel", { includes: { minKernel: "6.1" } }, 1],
    ["newer kernel", { includes: { minKernel: "6.10" } }, 0],
    ["kernel excluded", { excludes: { minKernel: "4.8" } }, 0],
  ])("condition: %s", (_, condition, count) => {
    const syscalls = [{ names: ["read"], action: "SCMP_ACT_ALLOW", ...condition }];
    const capabilities = capabilityMask(["BPF"]);
    expect(parse({ ...base, syscalls }, { capabilities }).rules).toHaveLength(count);
  });

  test("conditions on one argument are alternatives, on several they add up", () => {
    const on = (index: number, value: number) => ({ index, value, op: "SCMP_CMP_EQ" });
    const rules = (...args: object[]) =>
      parse({ ...base, syscalls: [{ names: ["socket"], action: "SCMP_ACT_ALLOW", args }] }).rules;
    expect(rules(on(0, 1), on(0, 2))).toHaveLength(2);
    expect(rules(on(0, 1), on(1, 2))).toHaveLength(1);
  });

  test("without architectures it is for the machine and its 32-bit programs", () => {
    expect(parse(base).architectures).toEqual(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
    expect(parse(base, { architecture: "aarch64" }).architectures).toEqual([
      "SCMP_ARCH_AARCH64",
      "SCMP_ARCH_ARM",
    ]);
    expect(parse({ ...base, architectures: ["SCMP_ARCH_X86_64"] }).architectures).toEqual([
      "SCMP_ARCH_X86_64",
    ]);
  });

  const rule = { names: ["read"], action: "SCMP_ACT_ALLOW" };
  test.each([
    ["unknown key", { ...base, syscals: [] }, 'seccomp profile "p.json".syscals: unknown key'],
    ["unknown key below", { ...base, syscalls: [{ ...rule, arg: [] }] }, ".syscalls[0].arg: unknown key"],
    ["no default", {}, '.defaultAction: "" is not an action'],
    ["action", { ...base, syscalls: [{ ...rule, action: "allow" }] }, 'action: "allow" is not an action'],
    ["no names", { ...base, syscalls: [{ action: "SCMP_ACT_ALLOW" }] }, "no system call is named"],
    [
      "index",
      { ...base, syscalls: [{ ...rule, args: [{ index: 6, op: "SCMP_CMP_EQ" }] }] },
      "6 is not from 0",
    ],
    [
      "operator",
      { ...base, syscalls: [{ ...rule, args: [{ index: 0, op: "==" }] }] },
      '"==" is not an operator',
    ],
    [
      "value",
      { ...base, syscalls: [{ ...rule, args: [{ index: 0, value: 2 ** 60, op: "" }] }] },
      "below 2^53",
    ],
    [
      "capability",
      { ...base, syscalls: [{ ...rule, includes: { caps: ["X"] } }] },
      '"X" is not a capability',
    ],
    ["kernel", { ...base, syscalls: [{ ...rule, includes: { minKernel: "new" } }] }, '"new" is not such as'],
    ["errno", { ...base, defaultErrnoRet: -1 }, "-1 is not an errno"],
    ["list", { ...base, syscalls: {} }, "must be a list"],
    ["names", { ...base, syscalls: [{ ...rule, names: [1] }] }, "must be a list of strings"],
    ["object", { ...base, syscalls: ["read"] }, "syscalls[0]: must be an object"],
    ["notify", { defaultAction: "SCMP_ACT_NOTIFY" }, 'berth does not support "SCMP_ACT_NOTIFY"'],
    ["flags", { ...base, flags: ["SECCOMP_FILTER_FLAG_LOG"] }, "SECCOMP_FILTER_FLAG_LOG"],
  ])("%s is refused", (_, profile, message) => {
    expect(() => parse(profile)).toThrow(message);
  });

  test.each(["", "null", "[]", "{", "3", '"x"'])("%j is refused", (json) => {
    expect(() => parseSeccompProfile("p.json", json, TARGET)).toThrow('seccomp profile "p.json"');
  });
});
