// A step in words, as a verb and its object: the middle of an error message.

import type { PlanOp, PlanStep } from "../types/plan.ts";

type StepOf<Op extends PlanOp> = Extract<PlanStep, { op: Op }>;

const DESCRIPTIONS: { readonly [Op in PlanOp]: (step: StepOf<Op>) => string } = {
  "join-netns": (step) => `join network namespace ${quoted(step.path)}`,
  unshare: () => "make the pod's namespaces",
  "set-hostname": (step) => `set hostname ${quoted(step.hostname)}`,
  sysctl: (step) => `set sysctl ${quoted(step.key)} to ${quoted(step.value)}`,
  "create-shm": (step) => `make the pod's /dev/shm of ${step.sizeBytes} bytes`,
  "pod-init": () => "start the pod's init process",
  "mount-propagation": () => "cut mount propagation to the host",
  "open-tree": (step) => `open host path ${quoted(step.source)}`,
  "open-shm": () => "open the pod's /dev/shm",
  "overlay-root": (step) => `mount root file system ${quoted(`${step.base}/${step.upper}`)}`,
  mount: (step) => `mount ${step.fstype} on ${quoted(step.target)}`,
  "attach-tree": (step) => `mount on ${quoted(step.target)}`,
  "make-node": (step) => `make device ${quoted(step.target)}`,
  symlink: (step) => `make link ${quoted(step.target)}`,
  "make-dir": (step) => `make directory ${quoted(step.target)}`,
  mask: (step) => `hide ${quoted(step.target)}`,
  "readonly-path": (step) => `make ${quoted(step.target)} read-only`,
  "root-readonly": () => "make the root file system read-only",
  console: () => "open the terminal",
  "pivot-root": () => "enter the root file system",
  join: () => "join the container's namespaces",
  "oom-score": (step) => `set OOM score ${step.value}`,
  rlimit: (step) => `set resource limit ${step.resource} to ${step.soft}:${step.hard}`,
  "mount-label": (step) => `label mounts ${quoted(step.label)}`,
  "session-keyring": () => "join a session keyring",
  "cap-bounding": () => "drop capabilities from the bounding set",
  "set-groups": (step) => `set ${step.groups.length} supplementary groups`,
  "set-user": (step) => `become user ${step.uid}:${step.gid}`,
  "cap-set": () => "set capabilities",
  "cap-ambient": () => "set ambient capabilities",
  "no-new-privs": () => "set no_new_privs",
  seccomp: () => "load the seccomp filter",
  umask: () => "set the umask",
  chdir: (step) => `enter working directory ${quoted(step.directory)}`,
  "exec-attribute": (step) => `set security label ${quoted(step.value)}`,
  ready: () => "report to the monitor",
  exec: (step) => `exec ${quoted(step.file ?? step.argv[0] ?? "")}`,
  pause: () => "wait for hooks",
  "join-path": (step) => `join namespace ${quoted(step.path)}`,
  "host-root": () => "open the host's root",
  "host-directory": (step) => `open directory ${quoted(step.path)}`,
  "lock-mounts": () => "give the mounts to the pod's user namespace",
  "open-user-namespace": () => "open the pod's user namespace",
  "user-namespace": () => "make the pod's user namespace",
  "enter-user-namespace": () => "enter the pod's user namespace",
  "take-mounts": () => "enter the container's mounts",
  "become-root": () => "become root of the user namespace",
  "own-stdio": () => "give the output's pipes to the container's user",
  "map-snapshots": (step) => `map ids of the file system of ${quoted(step.base)}`,
  "file-ids": (step) => `take ids ${step.uid}:${step.gid} for files`,
  "image-tree": (step) =>
    step.subPath === "" ? "mount an image" : `open ${quoted(step.subPath)} in an image`,
  "delegate-cgroup": () => "give the container its cgroup",
  "share-group": (step) => `share mounts of ${quoted(step.target)} with the host`,
};

/** Such as `mount tmpfs on "/dev/shm"`. Objects are in double quotes, control characters escaped. */
export function describeStep(step: PlanStep): string {
  const describe = DESCRIPTIONS[step.op] as (step: PlanStep) => string;
  return describe(step);
}

const MAX_QUOTED = 200;

export function quoted(text: string): string {
  return JSON.stringify(text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text);
}
