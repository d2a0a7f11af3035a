// Which specs of critest do not run here, and why: anything else that is not run is a failure, and so is an
// exception that is no longer one.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Spec } from "./run.ts";

export interface Exception {
  /** The spec's name, or what the names of several begin with. */
  readonly spec: string;
  /** How many specs that is. */
  readonly count: number;
  readonly reason: string;
  /** True when the suite skips it by itself; otherwise it is kept out of the run. */
  readonly bySuite: boolean;
}

/** What the host has that specs need. */
export interface Host {
  readonly appArmor: boolean;
  readonly memoryController: boolean;
}

function contents(path: string): string {
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

export function thisHost(): Host {
  const unified = contents("/proc/self/mounts")
    .split("\n")
    .map((line) => line.split(" "))
    .find(([, , type]) => type === "cgroup2");
  const controllers = contents(join(unified?.[1] ?? "/sys/fs/cgroup", "cgroup.controllers")).trim();
  return {
    appArmor: contents("/sys/module/apparmor/parameters/enabled").startsWith("Y"),
    memoryController: controllers.split(" ").includes("memory"),
  };
}

const always: Exception[] = [
  {
    spec: "[k8s.io] Image Manager public image with digest should be pulled and removed [Conformance]",
    count: 1,
    reason: "names a published image by its digest: only its publisher's registry has those bytes",
    bySuite: false,
  },
];

const withoutAppArmor: Exception = {
  spec: "[k8s.io] AppArmor ",
  count: 9,
  reason: "the host has no AppArmor",
  bySuite: true,
};

const withoutMemoryController: Exception = {
  spec: "[k8s.io] Container OOM runtime should output OOMKilled reason should terminate with exitCode 137",
  count: 1,
  reason: "the host has no cgroup v2 controller memory, without which a memory limit is refused",
  bySuite: false,
};

export function exceptionsOn(host: Host): Exception[] {
  return [
    ...always,
    ...(host.appArmor ? [] : [withoutAppArmor]),
    ...(host.memoryController ? [] : [withoutMemoryController]),
  ];
}

/** Handlers that run Debian's programs, and what specs do not run with them beside the host's exceptions. */
export const foreignHandlers: Readonly<Record<string, readonly Exception[]>> = { crun: [], runc: [] };

export function exceptionFor(exceptions: readonly Exception[], name: string): Exception | undefined {
  return exceptions.find(({ spec }) => name.startsWith(spec));
}

/** Regular expressions for ginkgo's skip: what is to be kept out of the run. */
export function keptOut(exceptions: readonly Exception[]): string[] {
  return exceptions
    .filter(({ bySuite }) => !bySuite)
    .map(({ spec }) => spec.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
}

export type Verdict =
  | { readonly kind: "passed" }
  | { readonly kind: "failed" | "skipped"; readonly why: string };

/** What is to be said of the spec `name`, of which the run reports `result`. */
export function verdict(name: string, result: Spec | undefined, exceptions: readonly Exception[]): Verdict {
  const exception = exceptionFor(exceptions, name);
  const failed = (why: string): Verdict => ({ kind: "failed", why });
  if (exception !== undefined && (result === undefined || result.state === "skipped")) {
    const bySuite = result !== undefined;
    if (bySuite === exception.bySuite) return { kind: "skipped", why: exception.reason };
  }
  if (result === undefined) return failed("it was not run: the suite ended before it, or does not know it");
  if (exception !== undefined)
    return failed(`${result.state}, but test/critest/exceptions.ts says: ${exception.reason}`);
  if (result.state === "skipped")
    return failed(`skipped itself (${result.message}), and test/critest/exceptions.ts does not know why`);
  if (result.state === "passed") return { kind: "passed" };
  return failed(`${result.message}\n${result.output}`);
}
