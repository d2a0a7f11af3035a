// OCI bundles for the peers' runtimes: the same program, confinement and mounts that berth gives a container
// in a pod with the host's network, on a plain directory instead of an overlay.

import { mkdirSync, writeFileSync } from "node:fs";
import { arch, release } from "node:os";
import { join } from "node:path";
import type { SeccompRules } from "../../src/kernel/kernel.ts";
import { capabilityList, capabilityMask, DEFAULT_CAPABILITIES } from "../../src/spec/capabilities.ts";
import { defaultSeccompRules } from "../../src/spec/seccomp-default.ts";
import { PROGRAMS, type Program } from "./cri-engine.ts";

const SAFE = ["nosuid", "noexec", "nodev"];
const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const MASKED = ["acpi", "asound", "interrupts", "kcore", "keys", "latency_stats", "sched_debug", "scsi"];
const READONLY = ["bus", "fs", "irq", "sys", "sysrq-trigger"];

function seccompOf(rules: SeccompRules) {
  return {
    defaultAction: rules.defaultAction,
    defaultErrnoRet: rules.defaultErrno,
    architectures: rules.architectures,
    syscalls: rules.rules.map(({ names, action, errno, args }) => ({
      names,
      action,
      ...(action === "SCMP_ACT_ERRNO" ? { errnoRet: errno } : {}),
      args: args.map(({ index, value, valueTwo, op }) => ({
        index,
        value: Number(value),
        valueTwo: Number(valueTwo),
        op,
      })),
    })),
  };
}

function mounts() {
  const mount = (destination: string, type: string, options: string[]) => ({
    destination,
    type,
    source: type,
    options,
  });
  return [
    mount("/proc", "proc", SAFE),
    mount("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
    mount("/dev/pts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
    mount("/dev/shm", "tmpfs", [...SAFE, "mode=1777", "size=65536k"]),
    mount("/dev/mqueue", "mqueue", SAFE),
    mount("/sys", "sysfs", [...SAFE, "ro"]),
    mount("/sys/fs/cgroup", "cgroup", [...SAFE, "ro"]),
  ];
}

function specOf(program: Program, cgroupsPath: string) {
  const capabilities = capabilityMask(DEFAULT_CAPABILITIES);
  const held = capabilityList(capabilities);
  const architecture = arch() === "x64" ? "x86_64" : "aarch64";
  const rules = defaultSeccompRules({ capabilities, architecture, kernelRelease: release() });
  return {
    ociVersion: "1.0.2",
    root: { path: "../rootfs", readonly: false },
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args: PROGRAMS[program],
      env: [PATH],
      cwd: "/",
      capabilities: { bounding: held, effective: held, permitted: held },
      noNewPrivileges: false,
    },
    mounts: mounts(),
    linux: {
      cgroupsPath,
      namespaces: ["mount", "cgroup", "pid", "ipc"].map((type) => ({ type })),
      maskedPaths: [...MASKED, "timer_list", "timer_stats"]
        .map((name) => `/proc/${name}`)
        .concat("/sys/firmware"),
      readonlyPaths: READONLY.map((name) => `/proc/${name}`),
      seccomp: seccompOf(rules),
    },
  };
}

/** Writes the bundle "<folder>/<program>"; the root file system is "<folder>/rootfs". */
export function writeBundle(folder: string, program: Program, cgroupsPath: string): string {
  const bundle = join(folder, program);
  mkdirSync(bundle, { recursive: true });
  writeFileSync(join(bundle, "config.json"), JSON.stringify(specOf(program, cgroupsPath)));
  return bundle;
}
