// The disk of a Debian 12 machine: the smallest system with systemd, and what a host of berth has. It is made
// of Debian packages once and kept in out/test-images.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const execute = promisify(execFile);
const cache = join(import.meta.dirname, "../../out/test-images");
const unit = join(import.meta.dirname, "guest/system-test.service");
const policy = join(import.meta.dirname, "guest/container.cil");

/** Where the machine mounts the product's disk. */
export const INSTALLED = "usr/lib/berth";

/** What a host of berth has, beside Debian's smallest system with systemd. */
const PACKAGES = [
  ...["systemd", "systemd-sysv", "udev", "kmod", "linux-image-cloud-amd64", "initramfs-tools"],
  ...["iproute2", "iptables", "containernetworking-plugins"],
  ...["libseccomp2", "libisal2", "libnettle8", "libstdc++6"],
  ...["crun", "runc"],
  // What the validation suite needs beside a runtime.
  ...["docker-registry", "apparmor", "sudo"],
  // Asleep unless the machine is booted with it.
  "selinux-policy-default",
];
/** A check runs a registry of its own; the others only take time. */
const MASKED = [
  "docker-registry.service",
  "apt-daily.timer",
  "apt-daily-upgrade.timer",
  "systemd-random-seed.service",
];
const WITHOUT = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*"];

export interface System {
  readonly disk: string;
  readonly kernel: string;
  readonly initrd: string;
}

/** Makes an ext4 disk with what is in `tree`. */
export async function makeDisk(tree: string, disk: string, label: string, size: string): Promise<void> {
  const options = ["-q", "-F", "-t", "ext4", "-L", label, "-d", tree, "-E", "lazy_itable_init=1"];
  await execute("mke2fs", [...options, disk, size]);
}

function configure(tree: string): void {
  const write = (path: string, text: string) => writeFileSync(join(tree, path), text);
  const fstab = `LABEL=system / ext4 rw 0 0\nLABEL=product /${INSTALLED} ext4 ro 0 0\n`;
  mkdirSync(join(tree, INSTALLED), { recursive: true });
  write("etc/fstab", fstab);
  write("etc/hostname", "machine\n");
  // sudo complains of a host that does not know itself.
  write("etc/hosts", "127.0.0.1 localhost\n127.0.1.1 machine\n");
  const units = join(tree, "etc/systemd/system");
  cpSync(unit, join(units, "system-test.service"));
  mkdirSync(join(units, "multi-user.target.wants"), { recursive: true });
  symlinkSync("../system-test.service", join(units, "multi-user.target.wants/system-test.service"));
  for (const name of MASKED) symlinkSync("/dev/null", join(units, name));
}

async function bootstrap(folder: string): Promise<void> {
  const tree = join(folder, "tree");
  const options = ["--mode=root", "--variant=minbase", `--include=${PACKAGES.join(",")}`];
  const hooks = [`copy-in ${policy} /tmp`, 'chroot "$1" semodule --noreload --install /tmp/container.cil'];
  const without = WITHOUT.map((path) => `--dpkgopt=path-exclude=${path}`);
  const customize = hooks.map((hook) => `--customize-hook=${hook}`);
  await execute("mmdebstrap", ["--quiet", ...options, ...without, ...customize, "bookworm", tree], {
    maxBuffer: 1 << 26,
  });
  configure(tree);
  const boot = join(tree, "boot");
  for (const kind of ["vmlinuz", "initrd.img"]) {
    const found = readdirSync(boot).find((name) => name.startsWith(`${kind}-6.1.`));
    if (found === undefined) throw new Error(`find ${kind} of Linux 6.1: not in "${boot}"`);
    cpSync(join(boot, found), join(folder, kind));
  }
  await makeDisk(tree, join(folder, "disk"), "system", "2G");
  rmSync(tree, { recursive: true });
}

function removeOthers(): void {
  if (!existsSync(cache)) return;
  const old = readdirSync(cache).filter((name) => name.startsWith("system-"));
  for (const name of old) rmSync(join(cache, name), { recursive: true, force: true });
}

/** Makes Debian's disk, or finds it: it is made anew when this file or the unit of the checks changed. */
export async function debian(): Promise<System> {
  const hash = createHash("sha256")
    .update(readFileSync(import.meta.filename))
    .update(readFileSync(unit))
    .update(readFileSync(policy));
  const folder = join(cache, `system-${hash.digest("hex").slice(0, 16)}`);
  if (!existsSync(folder)) {
    removeOthers();
    const staging = `${folder}.${process.pid}`;
    mkdirSync(staging, { recursive: true });
    try {
      await bootstrap(staging);
      renameSync(staging, folder);
    } catch (error) {
      rmSync(staging, { recursive: true, force: true });
      throw error;
    }
  }
  return {
    disk: join(folder, "disk"),
    kernel: join(folder, "vmlinuz"),
    initrd: join(folder, "initrd.img"),
  };
}
