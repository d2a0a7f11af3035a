// The filter of RuntimeDefault. A call that the list does not know gets ENOSYS, so that a C library falls
// back from a call newer than this file; one that is known and denied gets EPERM.

import type { SeccompRules } from "../kernel/kernel.ts";
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
} from "../types/linux.ts";
import { capabilityMask } from "./capabilities.ts";
import type { SeccompTarget } from "./inputs.ts";
import { ALLOWED_CALLS, CAPABILITY_CALLS, DENIED_CALLS } from "./seccomp-calls.ts";

type Rule = SeccompRules["rules"][number];
type Argument = Rule["args"][number];

const EPERM = 1;
const ENOSYS = 38;
const EAFNOSUPPORT = 97;

const NAMESPACE_FLAGS = [
  CLONE_NEWNS,
  CLONE_NEWCGROUP,
  CLONE_NEWUTS,
  CLONE_NEWIPC,
  CLONE_NEWUSER,
  CLONE_NEWPID,
  CLONE_NEWNET,
];

/** PER_LINUX and PER_LINUX32, each also with UNAME26 or ADDR_NO_RANDOMIZE, and the query. */
const PERSONALITIES = [0x0, 0x8, 0x2_0000, 0x2_0008, 0x4_0000, 0x4_0008, 0xffff_ffff];

const AF_ALG = 38n;
const AF_VSOCK = 40n;
const LOW_HALF = 0xffff_ffffn;
/** 0 to 63 without the two, in aligned blocks {first, size}: rules for one call must not overlap. */
const SOCKET_BLOCKS: readonly (readonly [bigint, bigint])[] = [
  [0n, 32n],
  [32n, 4n],
  [36n, 2n],
  [39n, 1n],
  [41n, 1n],
  [42n, 2n],
  [44n, 4n],
  [48n, 16n],
];

/** The default profile for a container with the bounding set `target.capabilities`. */
export function defaultSeccompRules(target: SeccompTarget): SeccompRules {
  const granted = new Set<string>();
  const refused = new Set<string>(DENIED_CALLS);
  for (const { capability, names } of CAPABILITY_CALLS) {
    const holds = (target.capabilities & capabilityMask([capability])) !== 0n;
    for (const name of names) (holds ? granted : refused).add(name);
  }
  const mayUnshare = (target.capabilities & capabilityMask(["SYS_ADMIN"])) !== 0n;
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrno: ENOSYS,
    architectures: architecturesOf(target.architecture),
    rules: [
      allow([...ALLOWED_CALLS, ...granted]),
      deny(
        [...refused].filter((name) => !granted.has(name)),
        EPERM,
      ),
      ...(mayUnshare ? [allow(["clone", "clone3"])] : cloneRules()),
      ...PERSONALITIES.map((value) => allow(["personality"], [argument(0, "SCMP_CMP_EQ", BigInt(value))])),
      ...socketRules(),
    ],
  };
}

/** The machine's own architecture and the 32-bit one whose programs it runs. */
export function architecturesOf(architecture: SeccompTarget["architecture"]): string[] {
  return architecture === "x86_64"
    ? ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    : ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"];
}

/**
 * No new namespaces. The flags of clone3 are behind a pointer that a filter cannot read: it gets ENOSYS (by
 * default), and C libraries then use clone.
 */
function cloneRules(): Rule[] {
  const all = NAMESPACE_FLAGS.reduce((mask, flag) => mask | flag, 0);
  return [
    allow(["clone"], [argument(0, "SCMP_CMP_MASKED_EQ", BigInt(all), 0n)]),
    ...NAMESPACE_FLAGS.map((flag) => {
      return deny(["clone"], EPERM, [argument(0, "SCMP_CMP_MASKED_EQ", BigInt(flag), BigInt(flag))]);
    }),
  ];
}

/**
 * Every address family but two. AF_VSOCK reaches the hypervisor past every network namespace, AF_ALG the
 * kernel's crypto drivers; both look like a kernel without them. The kernel reads the low half of the
 * argument only, so only that is compared: with the other half set a plain comparison would be passed by.
 */
function socketRules(): Rule[] {
  return [
    ...SOCKET_BLOCKS.map(([first, size]) => {
      return allow(["socket"], [argument(0, "SCMP_CMP_MASKED_EQ", LOW_HALF - (size - 1n), first)]);
    }),
    ...[AF_ALG, AF_VSOCK].map((family) => {
      return deny(["socket"], EAFNOSUPPORT, [argument(0, "SCMP_CMP_MASKED_EQ", LOW_HALF, family)]);
    }),
  ];
}

function allow(names: readonly string[], args: readonly Argument[] = []): Rule {
  return { names, action: "SCMP_ACT_ALLOW", errno: 0, args };
}

function deny(names: readonly string[], errno: number, args: readonly Argument[] = []): Rule {
  return { names, action: "SCMP_ACT_ERRNO", errno, args };
}

function argument(index: number, op: string, value: bigint, valueTwo = 0n): Argument {
  return { index, op, value, valueTwo };
}
