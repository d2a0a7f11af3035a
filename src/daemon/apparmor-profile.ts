// berth's own AppArmor profile, for containers that name none: loaded into the kernel at start-up. Profiles
// are compiled by a program of the host, which every distribution with AppArmor brings.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, constants } from "node:fs/promises";
import type { Logger } from "../lib/call.ts";
import { messageOf } from "../lib/errors.ts";
import { DEFAULT_APPARMOR_PROFILE } from "../spec/confinement.ts";

const PARSERS = ["/sbin/apparmor_parser", "/usr/sbin/apparmor_parser", "/usr/bin/apparmor_parser"];
const TIMEOUT_MS = 20_000;

/**
 * What a container may do at most, whatever its other limits say: nothing that changes the kernel's settings,
 * the host's firmware or the tree of mounts; signals and traces stay among containers of this profile.
 */
const PROFILE = `
profile ${DEFAULT_APPARMOR_PROFILE} flags=(attach_disconnected,mediate_deleted) {
  network,
  capability,
  file,
  umount,
  unix,
  dbus,
  signal receive peer=unconfined,
  signal (send, receive) peer=${DEFAULT_APPARMOR_PROFILE},
  ptrace (trace, read, tracedby, readby) peer=${DEFAULT_APPARMOR_PROFILE},
  deny mount,
  deny /proc/sysrq-trigger rwklx,
  deny /proc/kcore rwklx,
  deny /proc/kmem rwklx,
  deny /proc/mem rwklx,
  deny /proc/{acpi,bus,fs,irq,scsi}/** wklx,
  deny /proc/sys/{abi,crypto,debug,dev,sunrpc,user,vm}/** wklx,
  deny /proc/sys/fs/[^m]** wklx,
  deny /proc/sys/kernel/[^ms]** wklx,
  deny /sys/{block,bus,class,dev,devices,firmware,hypervisor,kernel,module,power}/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/kernel/security/** rwklx,
}
`;

/** True when the profile is loaded. A host that cannot load it goes on without, which is logged. */
export async function loadAppArmorProfile(log: Logger): Promise<boolean> {
  try {
    await load(await findParser());
    return true;
  } catch (error) {
    log.warn(
      { error: messageOf(error) },
      "no default AppArmor profile: containers without one run unconfined",
    );
    return false;
  }
}

async function findParser(): Promise<string> {
  for (const path of PARSERS) {
    const there = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (there) return path;
  }
  throw new Error(`apparmor_parser is in none of ${PARSERS.join(", ")}; install the package apparmor`);
}

/** Replaces the profile of an earlier start; nothing is kept in the parser's cache. */
async function load(parser: string): Promise<void> {
  const child = spawn(parser, ["--replace", "--skip-cache", "--Optimize=compress-fast"], {
    stdio: ["pipe", "ignore", "pipe"],
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
    timeout: TIMEOUT_MS,
  });
  let words = "";
  child.stderr.on("data", (chunk: Buffer) => {
    words = (words + chunk.toString("utf8")).slice(-1000);
  });
  child.stdin.on("error", () => {});
  child.stdin.end(PROFILE);
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  if (code === 0) return;
  throw new Error(`${parser}: ${signal ?? `exit status ${code}`}: ${words.trim()}`);
}
