// What the network tests look at in the host, and how they leave it as it was.

import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readlinkSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";

const leases = "/var/lib/cni/networks";

export function natRules(): string[] {
  return execFileSync("iptables", ["-w", "-t", "nat", "-S"], { encoding: "utf8" }).trim().split("\n");
}

/** Addresses that host-local has given away in a network. */
export function leasedAddresses(network: string): string[] {
  try {
    return readdirSync(join(leases, network)).filter((name) => /^\d+\.\d+\.\d+\.\d+$/.test(name));
  } catch {
    return [];
  }
}

/** Names of the interfaces that hang on a bridge. */
export function portsOf(bridge: string): string[] {
  try {
    return readdirSync(`/sys/class/net/${bridge}/brif`);
  } catch {
    return [];
  }
}

export function hostAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const found = all.find((entry) => entry.family === "IPv4" && !entry.internal);
  if (found === undefined) throw new Error("this machine has no IPv4 address beside loopback");
  return found.address;
}

/** Where the links in a folder of /proc lead. What vanishes meanwhile is left out. */
export function linksIn(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => linkAt(join(folder, name)));
}

function linkAt(path: string): string[] {
  try {
    return [readlinkSync(path)];
  } catch {
    return [];
  }
}

/** The network namespace of each of this process's threads. */
export function threadNamespaces(): string[] {
  return readdirSync("/proc/self/task").flatMap((task) => linkAt(`/proc/self/task/${task}/ns/net`));
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "0.0.0.0");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** A web server inside the namespace that serves `directory` on port 80. */
export function serveInside(netns: string, directory: string): ChildProcess {
  const command = [`--net=${netns}`, "busybox", "httpd", "-f", "-p", "80", "-h", directory];
  return spawn("nsenter", command, { stdio: "ignore" });
}

export async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

/**
 * Removes bridges, lease directories, what is left of the networks' masquerade (the bridge plugin forgets it
 * when a namespace has vanished) and, when they were not there before, portmap's empty chains.
 */
export function cleanHost(
  bridges: readonly string[],
  networks: readonly string[],
  before: readonly string[],
): void {
  for (const bridge of bridges) spawnSync("ip", ["link", "del", bridge]);
  for (const network of networks) {
    rmSync(join(leases, network), { recursive: true, force: true });
    dropRules(new RegExp(`^-A POSTROUTING .*name: \\\\"${network}\\\\"`));
  }
  const shared = before.some((rule) => rule.includes("CNI-HOSTPORT"));
  if (shared || natRules().some((rule) => rule.includes("CNI-DN-"))) return;
  dropRules(/^-A (PREROUTING|OUTPUT|POSTROUTING) .*-j CNI-HOSTPORT-/);
  dropChains(["CNI-HOSTPORT-DNAT", "CNI-HOSTPORT-MASQ", "CNI-HOSTPORT-SETMARK"]);
}

/** Deletes matching rules, and the pod's own chain to which one leads. */
function dropRules(pattern: RegExp): void {
  for (const rule of natRules().filter((line) => pattern.test(line))) {
    const words = (rule.match(/"(\\.|[^"\\])*"|\S+/g) ?? []).map((word) =>
      word.startsWith('"') ? word.slice(1, -1).replaceAll("\\", "") : word,
    );
    spawnSync("iptables", ["-w", "-t", "nat", "-D", ...words.slice(1)]);
    const chain = words.at(-1) ?? "";
    if (/^CNI-[0-9a-f]{24}$/.test(chain)) dropChains([chain]);
  }
}

function dropChains(chains: readonly string[]): void {
  for (const flag of ["-F", "-X"]) {
    for (const chain of chains) spawnSync("iptables", ["-w", "-t", "nat", flag, chain]);
  }
}
