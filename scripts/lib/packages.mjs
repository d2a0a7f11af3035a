// Debian packages: which are needed for what, which are missing, and how they are installed.

import { existsSync, rmSync, writeFileSync } from "node:fs";
import { run } from "./run.mjs";

/** To build the addon, the monitor and the probe. */
export const BUILD_PACKAGES = [
  "build-essential",
  "cmake",
  "ninja-build",
  "pkg-config",
  "libseccomp-dev",
  "libisal-dev",
  "libzstd-dev",
  "nettle-dev",
];

/** To run containers: the CNI plugins a host's own configuration may name, and what their portmap calls. */
export const RUN_PACKAGES = ["containernetworking-plugins", "iptables"];

/** To test: a registry and its client, what test images are made of, and programs that tests compare with. */
export const TEST_PACKAGES = [
  "ca-certificates",
  "docker-registry",
  "openssl",
  "skopeo",
  "umoci",
  "busybox",
  "nginx",
  "procps",
  "util-linux",
  "iproute2",
  "runc",
  "crun",
  "jq",
  "attr",
];

/** Packages of the list that dpkg does not have installed. */
export async function missingPackages(names) {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: this is the format language of dpkg-query
  const args = ["-W", "-f=${Package} ${db:Status-Status}\n", ...names];
  const { stdout } = await run("dpkg-query", args, { quiet: true, check: false });
  const installed = new Set(
    stdout
      .split("\n")
      .filter((line) => line.endsWith(" installed"))
      .map((line) => line.split(" ")[0]),
  );
  return names.filter((name) => !installed.has(name));
}

const aptGet = (...args) =>
  run("apt-get", ["-q", "-y", "-o", "DPkg::Lock::Timeout=300", ...args], {
    env: { DEBIAN_FRONTEND: "noninteractive", NEEDRESTART_MODE: "l" },
  });

/** policy-rc.d answers 101 ("forbidden") while `work` runs, unless the host has a policy of its own. */
async function withoutServices(work) {
  const policy = "/usr/sbin/policy-rc.d";
  if (existsSync(policy)) return work();
  writeFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    return await work();
  } finally {
    rmSync(policy, { force: true });
  }
}

/**
 * Installs packages. A package that starts a service (nginx, docker-registry) is kept from doing so: tests
 * run their own copies on their own ports.
 */
export async function installPackages(names) {
  if (process.getuid() !== 0) {
    throw new Error(`Debian packages are missing; as root run: apt-get install ${names.join(" ")}`);
  }
  const install = () => withoutServices(() => aptGet("install", "--no-install-recommends", ...names));
  try {
    await install();
  } catch {
    // The usual cause on a new machine: no package lists yet, or outdated ones.
    await aptGet("update");
    await install();
  }
}
