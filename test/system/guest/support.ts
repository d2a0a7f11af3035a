// What the checks inside the virtual machine share. Runs on plain Node there: no npm modules.

import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { appendFileSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export interface Check {
  readonly name: string;
  run(): Promise<void> | void;
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface Inspected {
  readonly Id: string;
  readonly State: {
    readonly Status: string;
    readonly Pid: number;
    readonly ExitCode: number;
    readonly OOMKilled: boolean;
    readonly Reason: string;
  };
  readonly NetworkSettings: { readonly IPAddress: string };
  readonly CgroupPath: string;
}

/** Where the product lies, as on a host that has it installed. */
export const INSTALLED = "/usr/lib/berth";
/** In INSTALLED: a regular expression of the names of the checks that are to run; nothing for all. */
export const ONLY = "only";
export const PROBE = "berth.test/probe:latest";
export const BUSYBOX = "berth.test/busybox:latest";
export const LAYERED = "berth.test/layered:latest";
export const LAYER_COUNT = 120;
export const PODS = "/sys/fs/cgroup/berth";
/** The serial port that the host reads results from. */
export const RESULTS = "/dev/ttyS1";

/** A line of results, as JSON. */
export function say(facts: object): void {
  appendFileSync(RESULTS, `${JSON.stringify(facts)}\n`);
}

/** Emulation is slow, and nothing here is about speed. */
const PATIENCE_MS = 60_000;

export function tryRun(command: string, ...args: string[]): Ran {
  const { status, signal, stdout, stderr, error } = spawnSync(command, args, {
    encoding: "utf8",
    timeout: PATIENCE_MS,
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (error !== undefined)
    throw new Error(`${command} ${args.join(" ")}: ${error.message}\n${stdout}${stderr}`);
  return { code: status ?? (signal === null ? -1 : 128), out: stdout, err: stderr };
}

/** Its standard output without the last newline. Throws with all it said when it fails. */
export function run(command: string, ...args: string[]): string {
  const { code, out, err } = tryRun(command, ...args);
  if (code !== 0) throw new Error(`${command} ${args.join(" ")}: exit code ${code}\n${out}${err}`);
  return out.replace(/\n$/, "");
}

export const tryBerth = (...args: string[]): Ran =>
  tryRun(join(INSTALLED, "node"), join(INSTALLED, "berth.cjs"), ...args);
export const berth = (...args: string[]): string =>
  run(join(INSTALLED, "node"), join(INSTALLED, "berth.cjs"), ...args);

export function inspect(name: string): Inspected {
  return JSON.parse(berth("inspect", "--type", "container", name))[0];
}

export const read = (...path: string[]): string => readFileSync(join(...path), "utf8").trim();

export async function eventually(what: string, isTrue: () => boolean): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!isTrue()) {
    if (Date.now() > deadline) throw new Error(`still not so after ${PATIENCE_MS / 1000} s: ${what}`);
    await sleep(100);
  }
}

export const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}/stat`);

/** The daemon's process as systemd knows it; 0 when it does not run. */
export const daemonPid = (): number => Number(run("systemctl", "show", "-P", "MainPID", "berthd.service"));

export const daemonAnswers = (): boolean => tryBerth("version").code === 0;

function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).sort() : [];
}

function cgroupsBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const inner = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return inner.flatMap(({ name }) => [join(folder, name), ...cgroupsBelow(join(folder, name))]);
}

export function mounts(): string[] {
  return read("/proc/self/mountinfo")
    .split("\n")
    .map((line) => line.split(" ").slice(3).join(" "));
}

/** Everything that pods and containers may leave in the kernel or on disk, a line each. */
export function traces(): string[] {
  const running = namesIn("/proc").filter((name) => /^\d+$/.test(name));
  const names = running.map((pid) => (existsSync(`/proc/${pid}/comm`) ? read("/proc", pid, "comm") : ""));
  const rules = run("iptables-save", "-t", "nat").split("\n");
  const groups: [string, string[]][] = [
    ["mount", mounts()],
    ["cgroup", cgroupsBelow(PODS)],
    ["netns", namesIn("/run/netns")],
    ["process", names.filter((name) => /^(berth-|probe|sleep)/.test(name))],
    ["link", namesIn("/sys/class/net").filter((name) => name !== "berth0")],
    ["nat rule", rules.filter((rule) => /10\.88\.0\.\d+[/:]/.test(rule) && !rule.includes("10.88.0.0/"))],
    ["pod directory", namesIn("/run/berth/pods")],
    ["monitor socket", namesIn("/run/berth/m")],
    ["root attached", namesIn("/run/berth/rootfs")],
    ["attached", namesIn("/run/berth/mounts")],
    ["bundle", namesIn("/run/berth/o")],
    ["snapshot", namesIn("/var/lib/berth/s/c")],
    ["logs", namesIn("/var/lib/berth/logs")],
  ];
  return groups.flatMap(([kind, items]) => items.map((item) => `${kind} ${item}`)).sort();
}

/** Removes all containers with their pods, and checks that what is left is what was there `before`. */
export async function removeAll(before: readonly string[]): Promise<void> {
  const ids = berth("ps", "-aq").split("\n").filter(Boolean);
  if (ids.length > 0) berth("rm", "-f", ...ids);
  await eventually(
    "only what was there before is left",
    () => traces().join("\n") === before.join("\n"),
  ).catch(() => assert.deepEqual(traces(), before));
}
