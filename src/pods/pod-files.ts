// The files that a pod's containers see in /etc, and the pod's volatile directory that holds them.

import { chown, mkdir, writeFile } from "node:fs/promises";
import { hostname as hostHostname } from "node:os";
import { dirname } from "node:path";
import { podFiles } from "../containers/plan-container.ts";
import { BerthError } from "../lib/errors.ts";
import { readOptional } from "../lib/optional-file.ts";
import { hostRoot, userMappingOf } from "../spec/user-namespace.ts";
import type { PodConfig } from "../types/pod.ts";
import type { PodDeps } from "./deps.ts";
import { podMountLabel } from "./pod-selinux.ts";

const HOST_RESOLV_CONF = "/etc/resolv.conf";
/** What systemd-resolved was told, without its own stub in front. */
const UPSTREAM_RESOLV_CONF = "/run/systemd/resolve/resolv.conf";

/** Makes the pod's state directory, and that of the monitors' sockets when it was removed (0700). */
export async function makePodDirectories(deps: PodDeps, podId: string): Promise<void> {
  const paths = [deps.paths.podState(podId), dirname(deps.paths.monitorSocket(podId))];
  const made = await Promise.allSettled(paths.map((path) => mkdir(path, { recursive: true, mode: 0o700 })));
  for (const result of made) if (result.status === "rejected") throw result.reason;
}

/** Writes resolv.conf, hostname and hosts into the state directory. */
export async function makePodFiles(deps: PodDeps, podId: string, config: PodConfig): Promise<void> {
  const files = podFiles(deps, podId);
  const onHost = config.security.namespaces.network === "NODE";
  const hostname = onHost || config.hostname === "" ? hostHostname() : config.hostname;
  const [resolver, hosts] = await Promise.all([
    resolvConf(config, onHost),
    onHost ? readOptional("/etc/hosts") : null,
  ]);
  // A failure must not leave one of them being written while the directory is removed again.
  const owner = hostRoot(userMappingOf(config.security.namespaces));
  const written = await Promise.allSettled([
    writeOwned(files.resolvConf, resolver, owner),
    writeOwned(files.hostname, `${hostname}\n`, owner),
    writeOwned(files.hosts, hosts ?? hostsOf(hostname), owner),
  ]);
  for (const result of written) if (result.status === "rejected") throw result.reason;
  const label = podMountLabel(deps, config);
  if (label === undefined) return;
  await Promise.all(Object.values(files).map((path) => deps.kernel.relabel(path, label)));
}

/** Root of the containers may write them, as root of a whole system may. */
async function writeOwned(path: string, text: string, owner: { uid: number; gid: number }): Promise<void> {
  await writeFile(path, text, { mode: 0o644 });
  if (owner.uid !== 0 || owner.gid !== 0) await chown(path, owner.uid, owner.gid);
}

async function resolvConf(config: PodConfig, onHost: boolean): Promise<string> {
  const { dns } = config;
  if (
    dns === undefined ||
    (dns.servers.length === 0 && dns.searches.length === 0 && dns.options.length === 0)
  ) {
    return await hostResolvConf(onHost);
  }
  return renderResolvConf(dns);
}

/** resolv.conf(5). A value that holds white space would smuggle in lines of its own. */
export function renderResolvConf(dns: NonNullable<PodConfig["dns"]>): string {
  for (const value of [...dns.servers, ...dns.searches, ...dns.options]) {
    if (/^[^\s\0]+$/.test(value)) continue;
    throw new BerthError(
      "INVALID_ARGUMENT",
      `dns config: ${JSON.stringify(value)} is empty or holds white space`,
    );
  }
  const lines = dns.servers.map((server) => `nameserver ${server}`);
  if (dns.searches.length > 0) lines.unshift(`search ${dns.searches.join(" ")}`);
  if (dns.options.length > 0) lines.push(`options ${dns.options.join(" ")}`);
  return lines.map((line) => `${line}\n`).join("");
}

/** A resolver on the host's loopback is out of reach of a pod with a network of its own. */
async function hostResolvConf(onHost: boolean): Promise<string> {
  const own = (await readOptional(HOST_RESOLV_CONF)) ?? "";
  if (onHost || !onlyLoopback(own)) return own;
  return (await readOptional(UPSTREAM_RESOLV_CONF)) ?? own;
}

export function onlyLoopback(resolvConfText: string): boolean {
  const servers = [...resolvConfText.matchAll(/^\s*nameserver\s+(\S+)/gm)].map((match) => match[1] as string);
  return servers.length > 0 && servers.every((server) => server.startsWith("127.") || server === "::1");
}

function hostsOf(hostname: string): string {
  return [
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::0\tip6-localnet",
    "ff00::0\tip6-mcastprefix",
    "ff02::1\tip6-allnodes",
    "ff02::2\tip6-allrouters",
    `127.0.1.1\t${hostname}`,
    "",
  ].join("\n");
}
