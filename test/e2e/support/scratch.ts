// What a daemon under test is given for itself alone, and the removal of every trace of it.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cgroupMount } from "../../runner/controllers.ts";

const NETNS_FOLDER = "/run/netns";
/** In a scratch's folder: the process that made it. */
const OWNER = "owner";

export interface Scratch {
  readonly folder: string;
  readonly root: string;
  readonly state: string;
  readonly socket: string;
  readonly config: string;
  readonly log: string;
  readonly cniFolder: string;
  readonly bridge: string;
  readonly subnet: string;
  /** Absolute path of the cgroup that holds all pods. */
  readonly cgroup: string;
  /** Names of pinned namespaces begin with it. */
  readonly netnsPrefix: string;
  /** Addresses that host-local gave out. */
  readonly leases: string;
}

export interface ScratchOptions {
  /** Mirror URL by host. */
  readonly mirrors?: Readonly<Record<string, string>>;
  /** Further lines of berth.toml before its tables. */
  readonly head?: string;
  /** Further lines of berth.toml, in tables of their own. */
  readonly toml?: string;
}

/** A 10.x.y.0/24 that no route of the host overlaps. */
function freeSubnet(): string {
  const rows = readFileSync("/proc/net/route", "utf8").trim().split("\n").slice(1);
  const little = (text = "0") => Buffer.from(text, "hex").readUInt32LE(0);
  const nets = rows.map((row) => row.split("\t")).map((row) => [little(row[1]), little(row[7])] as const);
  for (;;) {
    const [second, third] = [100 + Math.floor(Math.random() * 100), Math.floor(Math.random() * 256)];
    const address = ((10 << 24) | (second << 16) | (third << 8)) >>> 0;
    if (nets.some(([net, mask]) => mask !== 0 && (address & mask) >>> 0 === net)) continue;
    return `10.${second}.${third}.0/24`;
  }
}

export function makeScratch(options: ScratchOptions = {}): Scratch {
  const scratch = scratchIn(mkdtempSync("/tmp/berth-e2e-"));
  // As /run/berth can be: root of a pod's user namespace passes it on its way to its mounts.
  chmodSync(scratch.folder, 0o711);
  writeFileSync(join(scratch.folder, OWNER), birthOf(process.pid));
  mkdirSync(scratch.cniFolder);
  writeFileSync(scratch.config, tomlOf(scratch, `/${basename(scratch.cgroup)}`, options));
  writeFileSync(join(scratch.folder, "crictl.yaml"), "");
  return scratch;
}

/** Everything about a scratch derives from its folder. */
function scratchIn(folder: string): Scratch {
  const suffix = folder.slice(-6);
  const state = join(folder, "state");
  const bridge = `be-${suffix}`;
  const instance = createHash("sha256").update(state).digest("hex").slice(0, 6);
  return {
    folder,
    root: join(folder, "root"),
    state,
    socket: join(folder, "berth.sock"),
    config: join(folder, "berth.toml"),
    log: join(folder, "berthd.log"),
    cniFolder: join(folder, "cni"),
    bridge,
    subnet: freeSubnet(),
    cgroup: join(cgroupMount(), `berth-e2e-${suffix}`),
    netnsPrefix: `berth-${instance}-`,
    leases: `/var/lib/cni/networks/berth-${bridge}`,
  };
}

/** "pid start-time" of a process, "" when there is none. */
function birthOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return `${pid} ${stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]}`;
  } catch {
    return "";
  }
}

/** Removes what runs left that were killed: their scratches name the process that made them. */
export async function sweepScratches(): Promise<void> {
  for (const name of readdirSync("/tmp").filter((one) => /^berth-e2e-[A-Za-z0-9]{6}$/.test(one))) {
    const folder = join("/tmp", name);
    const file = join(folder, OWNER);
    const owner = existsSync(file) ? readFileSync(file, "utf8") : "";
    if (owner === "" || owner === birthOf(Number.parseInt(owner, 10))) continue;
    const scratch = scratchIn(folder);
    try {
      await endDaemons(scratch);
      await removeScratch(scratch);
    } catch (error) {
      // Perhaps another run sweeps at the same time; if not, the next one tries again.
      process.stderr.write(`sweep "${folder}": ${error instanceof Error ? error.message : error}\n`);
    }
  }
}

/** Daemons that were started with the scratch's configuration. */
async function endDaemons({ config }: Scratch): Promise<void> {
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    let words: string[] = [];
    try {
      words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    } catch {
      // It has ended.
    }
    if (!words.includes(config)) continue;
    process.kill(Number(pid), "SIGKILL");
    while (birthOf(Number(pid)) !== "" && !isZombie(pid)) await sleep(10);
  }
}

function isZombie(pid: string): boolean {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return true;
  }
}

function tomlOf(
  scratch: Scratch,
  parent: string,
  { mirrors = {}, head = "", toml = "" }: ScratchOptions,
): string {
  const hosts = Object.entries(mirrors).map(
    ([host, url]) => `[registry.hosts."${host}"]\nmirrors = ["${url}"]`,
  );
  const lines = [
    `cgroup_parent = "${parent}"`,
    `cdi_spec_dirs = ["${join(scratch.folder, "cdi")}"]`,
    head,
    "[network]",
    `cni_conf_dir = "${scratch.cniFolder}"`,
    `default_subnet = "${scratch.subnet}"`,
    `bridge_name = "${scratch.bridge}"`,
    ...hosts,
    toml,
  ];
  return `${lines.join("\n")}\n`;
}

export function pinnedNamespaces(scratch: Scratch): string[] {
  const names = existsSync(NETNS_FOLDER) ? readdirSync(NETNS_FOLDER) : [];
  return names.filter((name) => name.startsWith(scratch.netnsPrefix)).map((name) => join(NETNS_FOLDER, name));
}

function removeCgroups(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeCgroups(join(path, entry.name));
  }
  rmdirSync(path);
}

async function endCgroup(path: string): Promise<void> {
  if (!existsSync(path)) return;
  writeFileSync(join(path, "cgroup.kill"), "1");
  for (let look = 0; look < 500; look++) {
    if (readFileSync(join(path, "cgroup.events"), "utf8").includes("populated 0")) break;
    await sleep(10);
  }
  removeCgroups(path);
}

function unmountBelow(folder: string): void {
  const targets = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "")
    .filter((target) => target.startsWith(`${folder}/`));
  for (const target of targets.reverse()) execFileSync("umount", [target]);
}

/** Rules that the plugins made for our pods: their comments name the network. */
export function natRules(scratch: Scratch): string[] {
  const rules = execFileSync("iptables-save", ["-t", "nat"], { encoding: "utf8" }).split("\n");
  return rules.filter((rule) => rule.includes(`berth-${scratch.bridge}`));
}

function removeNatRules(scratch: Scratch): void {
  const chains = new Set<string>();
  for (const rule of natRules(scratch)) {
    // iptables-save quotes as a shell does.
    execFileSync("sh", ["-c", `iptables -w -t nat ${rule.replace(/^-A/, "-D")}`]);
    chains.add(/^-A (CNI-[0-9a-f]+) /.exec(rule)?.[1] ?? "");
  }
  chains.delete("");
  for (const chain of chains) execFileSync("iptables", ["-w", "-t", "nat", "-X", chain]);
}

/** Removes what the daemon, which does not run, has in the kernel and in its state directory. */
export async function removeVolatile(scratch: Scratch): Promise<void> {
  await endCgroup(scratch.cgroup);
  for (const path of pinnedNamespaces(scratch)) {
    execFileSync("sh", ["-c", 'umount "$1" 2>/dev/null || :; rm -f "$1"', "sh", path]);
  }
  if (existsSync(`/sys/class/net/${scratch.bridge}`)) execFileSync("ip", ["link", "delete", scratch.bridge]);
  removeNatRules(scratch);
  rmSync(scratch.state, { recursive: true, force: true });
}

/** Removes all that a daemon, which no longer runs, may have left, in whatever state it died. */
export async function removeScratch(scratch: Scratch): Promise<void> {
  await removeVolatile(scratch);
  rmSync(scratch.leases, { recursive: true, force: true });
  unmountBelow(scratch.folder);
  rmSync(scratch.folder, { recursive: true, force: true });
}
