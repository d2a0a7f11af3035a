// Where crun and runc make something else than berth, and why that is no mistake. A line of a field that no
// rule explains fails the test, and so does a rule that explains nothing.

import type { Difference } from "./report.ts";

interface Rule {
  /** Absent: both. */
  readonly runtime?: "crun" | "runc";
  readonly field: string;
  /** In pods with a user namespace alone. */
  readonly mapped?: true;
  readonly native?: RegExp;
  readonly foreign?: RegExp;
  readonly why: string;
  /** Not in every run. */
  readonly rare?: true;
}

const SAFE = "nosuid,nodev,noexec,relatime";

export const RULES: readonly Rule[] = [
  {
    runtime: "crun",
    field: "mounts",
    native: /^\/ overlay r[wo],nodev,relatime$/,
    foreign: /^\/ overlay r[wo],relatime$/,
    why: "crun mounts the root onto itself without its flags; the cgroup's filter still guards devices",
  },
  {
    runtime: "runc",
    field: "mounts",
    native: /^\/ overlay ro,nodev,relatime$/,
    foreign: /^\/ overlay ro,relatime$/,
    why: "runc makes the root read-only by a remount that drops its other flags",
  },
  {
    runtime: "crun",
    field: "mounts",
    native: new RegExp(`^/proc/(bus|fs|irq|sys|tty) proc ro,${SAFE}$`),
    foreign: /^\/proc\/(bus|fs|irq|sys|tty) proc ro,relatime$/,
    why: "read-only paths keep the flags of the mount that they are on",
  },
  {
    field: "mounts",
    native: new RegExp(`^/(proc/acpi|proc/tty|sys/firmware|proc/scsi|proc/asound) tmpfs ro,${SAFE}$`),
    foreign: /^\/(proc\/acpi|proc\/tty|sys\/firmware|proc\/scsi|proc\/asound) tmpfs ro,relatime$/,
    why: "nothing can be executed or opened in what hides a directory",
  },
  {
    runtime: "crun",
    field: "mounts",
    native: /^\/(proc|sys)\/\S+ tmpfs r[wo],nosuid$/,
    foreign: /^\/(proc|sys)\/\S+ devtmpfs ro,relatime$/,
    why: "a file is hidden under the container's null device, not the host's",
  },
  {
    field: "mounts",
    native: /^\/dev(\/(mqueue|pts|shm))? (mqueue|devpts|tmpfs) ro,\S+$/,
    foreign: /^\/dev(\/(mqueue|pts|shm))? (mqueue|devpts|tmpfs) r[wo](,\S+)?$/,
    why: "a read-only path is read-only with all that is mounted below it",
  },
  {
    runtime: "runc",
    field: "mounts",
    native: /^\/proc\/\S+ tmpfs rw,nosuid$/,
    foreign: /^\/proc\/\S+ tmpfs ro,nosuid$/,
    why: "runc hides files after /dev has become read-only, berth before",
  },
  {
    runtime: "crun",
    field: "mounts",
    native: /^\/dev\/console devpts rw,nosuid,noexec,relatime$/,
    foreign: /^\/dev\/console devpts rw,relatime$/,
    why: "the terminal keeps the flags of the container's devpts",
  },
  {
    field: "descriptors",
    native: /^0 \/dev\/null$/,
    foreign: /^0 \/memfd:null \(deleted\)$/,
    why: "crun gives its standard input to the container's user, which must not be the host's /dev/null",
  },
  {
    field: "mounts",
    mapped: true,
    foreign: /^\/dev\/(full|null|random|tty|urandom|zero) devtmpfs rw(,nosuid,noexec)?,relatime$/,
    why: "nobody makes device nodes in a user namespace: the standard ones of the host are bound",
  },
  {
    field: "mounts",
    mapped: true,
    foreign: /^\/dev\/mine tmpfs rw,nosuid,noexec,relatime$/,
    why: "those that are asked for are made by berth, and bound",
  },
  {
    runtime: "runc",
    field: "mounts",
    mapped: true,
    foreign: /^\/proc\/(interrupts|keys|timer_list) devtmpfs rw,relatime$/,
    why: "a file is hidden under the container's null device, which is the host's",
  },
  {
    runtime: "crun",
    field: "mounts",
    mapped: true,
    native: new RegExp(`^/(proc proc|dev/mqueue mqueue) rw,${SAFE}$`),
    foreign: /^\/proc proc rw,relatime$/,
    why: "crun 1.8 mounts them without their flags where a user namespace is joined",
  },
  {
    runtime: "runc",
    field: "devices",
    native: /^core$/,
    why: "runc links /dev/core only where the host has /proc/kcore",
  },
  {
    runtime: "runc",
    field: "limits",
    native: /^nofile 1024 \d+$/,
    foreign: /^nofile (\d+) \1$/,
    why: "the Go runtime in runc raises the soft limit while runc sets it (a race of its own)",
    rare: true,
  },
];

const used = new Set<Rule>();

/** What no rule explains. */
export function unexplained(handler: string, mapped: boolean, difference: Difference): Difference {
  const rules = RULES.filter(
    (rule) =>
      rule.field === difference.field &&
      (rule.runtime ?? handler) === handler &&
      (rule.mapped !== true || mapped),
  );
  const rest = (side: "native" | "foreign") =>
    difference[side].filter((line) => {
      const rule = rules.find((one) => one[side]?.test(line));
      if (rule !== undefined) used.add(rule);
      return rule === undefined;
    });
  return { field: difference.field, native: rest("native"), foreign: rest("foreign") };
}

export function unusedRules(): string[] {
  return RULES.filter((rule) => rule.rare !== true && !used.has(rule)).map((rule) => rule.why);
}
