// Localhost profiles: the JSON form that docker, podman and the kubelet's users write (it contains the OCI
// one). The conditions on capabilities, architectures and kernels are decided here. Unknown keys are errors:
// a filter that means less than its author wrote is worse than none.

import type { SeccompRules } from "../kernel/kernel.ts";
import { BerthError, messageOf } from "../lib/errors.ts";
import { CAPABILITY_NAMES, capabilityMask } from "./capabilities.ts";
import type { SeccompTarget } from "./inputs.ts";
import { architecturesOf } from "./seccomp-default.ts";
import { JsonObject } from "./seccomp-json.ts";

type Rule = SeccompRules["rules"][number];

const EPERM = 1;
const MAX_ERRNO = 4095;

const ACTIONS = [
  "SCMP_ACT_KILL",
  "SCMP_ACT_KILL_THREAD",
  "SCMP_ACT_KILL_PROCESS",
  "SCMP_ACT_TRAP",
  "SCMP_ACT_ERRNO",
  "SCMP_ACT_TRACE",
  "SCMP_ACT_ALLOW",
  "SCMP_ACT_LOG",
];
const OPERATORS = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"].map((name) => `SCMP_CMP_${name}`);

const ARCHITECTURE_NAMES = { x86_64: "amd64", aarch64: "arm64" } as const;
const RUNNABLE = {
  x86_64: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
  aarch64: ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
} as const;

/**
 * Parses the profile called `name` for one container. INVALID_ARGUMENT names the place of what is wrong;
 * UNIMPLEMENTED for notification of a listener.
 */
export function parseSeccompProfile(name: string, json: string, target: SeccompTarget): SeccompRules {
  const profile = new JsonObject(parsed(name, json), `seccomp profile "${name}"`);
  const defaultAction = action(profile, "defaultAction");
  const rules = {
    defaultAction,
    defaultErrno: errno(profile, "defaultErrnoRet", defaultAction),
    architectures: architectures(profile, target),
    rules: profile.objects("syscalls").flatMap((rule) => rulesOf(rule, target)),
  };
  profile.ignore("defaultErrno", "comment");
  refuseFlags(profile);
  profile.finish();
  return rules;
}

function parsed(name: string, json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new BerthError("INVALID_ARGUMENT", `seccomp profile "${name}": not JSON: ${messageOf(error)}`);
  }
}

function refuseFlags(profile: JsonObject): void {
  // TSYNC concerns further threads of the caller; a container's process has one.
  const flags = profile.strings("flags").filter((flag) => flag !== "SECCOMP_FILTER_FLAG_TSYNC");
  if (flags.length > 0) throw profile.unimplemented("flags", flags.join(", "));
  const listener = profile.text("listenerPath") + profile.text("listenerMetadata");
  if (listener !== "") throw profile.unimplemented("listenerPath", listener);
}

function architectures(profile: JsonObject, target: SeccompTarget): string[] {
  const runnable: readonly string[] = RUNNABLE[target.architecture];
  const listed = profile.strings("architectures");
  for (const entry of profile.objects("archMap")) {
    const own = entry.text("architecture");
    const subs = entry.strings("subArchitectures");
    entry.finish();
    if (own === runnable[0]) listed.push(own, ...subs);
  }
  const known = listed.filter((architecture) => runnable.includes(architecture));
  // With none named the profile is for the machine it lies on, and its 32-bit programs must not pass it by.
  return known.length > 0 ? [...new Set(known)] : architecturesOf(target.architecture);
}

function rulesOf(rule: JsonObject, target: SeccompTarget): Rule[] {
  const names = [...rule.strings("names"), ...(rule.text("name") === "" ? [] : [rule.text("name")])];
  const verdict = action(rule, "action");
  const number = errno(rule, "errnoRet", verdict);
  const args = rule.objects("args").map(argumentOf);
  const applies = condition(rule, "includes", target, true) && condition(rule, "excludes", target, false);
  rule.ignore("comment", "errno");
  rule.finish();
  if (names.length === 0) throw rule.invalid("names", "no system call is named");
  if (!applies) return [];
  const base = { names, action: verdict, errno: number };
  // Several conditions on one argument are alternatives (OCI runtime specification, config-linux.md).
  const indexes = new Set(args.map((arg) => arg.index));
  if (indexes.size < args.length) return args.map((arg) => ({ ...base, args: [arg] }));
  return [{ ...base, args }];
}

function action(object: JsonObject, key: string): string {
  const value = object.text(key);
  if (value === "SCMP_ACT_NOTIFY") throw object.unimplemented(key, value);
  if (!ACTIONS.includes(value)) throw object.invalid(key, `${JSON.stringify(value)} is not an action`);
  return value;
}

function errno(object: JsonObject, key: string, verdict: string): number {
  const value = object.number(key);
  if (value === undefined) return verdict === "SCMP_ACT_ERRNO" || verdict === "SCMP_ACT_TRACE" ? EPERM : 0;
  if (value < 0n || value > BigInt(MAX_ERRNO)) throw object.invalid(key, `${value} is not an errno`);
  return Number(value);
}

function argumentOf(object: JsonObject): Rule["args"][number] {
  const index = object.number("index") ?? 0n;
  const op = object.text("op");
  const value = object.number("value") ?? 0n;
  const valueTwo = object.number("valueTwo") ?? 0n;
  object.finish();
  if (index < 0n || index > 5n) throw object.invalid("index", `${index} is not from 0 to 5`);
  if (!OPERATORS.includes(op)) throw object.invalid("op", `${JSON.stringify(op)} is not an operator`);
  return {
    index: Number(index),
    op,
    value: BigInt.asUintN(64, value),
    valueTwo: BigInt.asUintN(64, valueTwo),
  };
}

/**
 * "includes": the rule applies when everything listed holds. "excludes": it does not when any of it does.
 */
function condition(rule: JsonObject, key: string, target: SeccompTarget, includes: boolean): boolean {
  const object = rule.object(key);
  if (object === undefined) return true;
  const holds: boolean[] = object.strings("caps").map((name) => holdsCapability(object, name, target));
  const arches = object.strings("arches");
  if (arches.length > 0) holds.push(arches.includes(ARCHITECTURE_NAMES[target.architecture]));
  const kernel = object.text("minKernel");
  if (kernel !== "") holds.push(isAtLeast(target.kernelRelease, kernel, object));
  object.finish();
  return includes ? holds.every(Boolean) : !holds.some(Boolean);
}

function holdsCapability(object: JsonObject, name: string, target: SeccompTarget): boolean {
  const bare = name.replace(/^CAP_/, "");
  const known = CAPABILITY_NAMES.find((candidate) => candidate === bare);
  if (known === undefined) throw object.invalid("caps", `${JSON.stringify(name)} is not a capability`);
  return (target.capabilities & capabilityMask([known])) !== 0n;
}

function isAtLeast(release: string, minimum: string, object: JsonObject): boolean {
  const wanted = /^([0-9]+)\.([0-9]+)$/.exec(minimum);
  const actual = /^([0-9]+)\.([0-9]+)/.exec(release);
  if (wanted === null) throw object.invalid("minKernel", `${JSON.stringify(minimum)} is not such as "5.10"`);
  if (actual === null)
    throw object.invalid("minKernel", `the kernel's release "${release}" is not understood`);
  const [major, minor] = [Number(actual[1]), Number(actual[2])];
  return major > Number(wanted[1]) || (major === Number(wanted[1]) && minor >= Number(wanted[2]));
}
