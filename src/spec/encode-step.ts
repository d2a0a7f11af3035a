// Which field of a step goes where in its record (see encode-plan.ts).

import type { PlanOp, PlanStep } from "../types/plan.ts";
import { sysctlPath } from "./sysctls.ts";

/** In the order of the union in types/plan.ts. Numbers are never reused: running monitors know them. */
export const OP_NUMBERS: Readonly<Record<PlanOp, number>> = {
  "join-netns": 1,
  unshare: 2,
  "set-hostname": 3,
  sysctl: 4,
  "create-shm": 5,
  "pod-init": 6,
  "mount-propagation": 7,
  "open-tree": 8,
  "open-shm": 9,
  "overlay-root": 10,
  mount: 11,
  "attach-tree": 12,
  "make-node": 13,
  symlink: 14,
  "make-dir": 15,
  mask: 16,
  "readonly-path": 17,
  "root-readonly": 18,
  console: 19,
  "pivot-root": 20,
  join: 21,
  "oom-score": 22,
  rlimit: 23,
  "session-keyring": 24,
  "cap-bounding": 25,
  "set-groups": 26,
  "set-user": 27,
  "cap-set": 28,
  "cap-ambient": 29,
  "no-new-privs": 30,
  seccomp: 31,
  umask: 32,
  chdir: 33,
  "exec-attribute": 34,
  ready: 35,
  exec: 36,
  pause: 37,
  "join-path": 38,
  "host-root": 39,
  "user-namespace": 40,
  "enter-user-namespace": 41,
  "take-mounts": 42,
  "become-root": 43,
  "own-stdio": 44,
  "map-snapshots": 45,
  "file-ids": 46,
  "image-tree": 47,
  "delegate-cgroup": 48,
  "share-group": 49,
  "mount-label": 50,
  "open-user-namespace": 51,
  "host-directory": 52,
  "lock-mounts": 53,
};

export interface StepFields {
  readonly slot?: number;
  readonly options?: number;
  readonly a?: number | bigint;
  readonly b?: number | bigint;
  readonly c?: number | bigint;
  /** At most four. Lists are separated by NUL; bytes go in as they are. */
  readonly strings?: readonly (
    | string
    | Uint8Array
    | { readonly values: readonly string[]; readonly encoding?: "latin1" }
  )[];
}

type StepOf<Op extends PlanOp> = Extract<PlanStep, { op: Op }>;

const ENCODERS: { readonly [Op in PlanOp]: (step: StepOf<Op>) => StepFields } = {
  "join-netns": (step) => ({ strings: [step.path] }),
  unshare: (step) => ({ a: step.flags }),
  "set-hostname": (step) => ({ strings: [step.hostname] }),
  sysctl: (step) => ({ strings: [sysctlPath(step.key), step.value] }),
  "create-shm": (step) => ({ a: step.sizeBytes, b: step.uid, c: step.gid }),
  "pod-init": (step) => ({ a: step.nobody }),
  "mount-propagation": (step) => ({ a: step.flags }),
  "open-tree": (step) => ({
    slot: step.slot,
    options: bits(step.recursive, step.idMap === "pod"),
    b: step.requiredPropagation,
    strings: [step.source, ...(typeof step.idMap === "string" ? [] : [step.idMap.uidMap, step.idMap.gidMap])],
  }),
  "open-shm": (step) => ({ slot: step.slot }),
  "overlay-root": (step) => ({
    options: bits(step.volatile, step.forceLegacy, step.allowDevices),
    a: step.lowers.length,
    strings: [step.base, { values: step.lowers }, { values: [step.upper, step.work] }, step.attachAt],
  }),
  mount: (step) => ({
    options: bits(step.createTarget),
    a: step.attributes,
    b: step.options.length,
    strings: [step.fstype, step.source, step.target, { values: step.options }],
  }),
  "attach-tree": (step) => ({
    slot: step.slot,
    options: bits(step.recursiveAttributes, step.createTarget),
    a: step.setAttributes,
    b: step.clearAttributes,
    c: step.propagation,
    strings: [step.target],
  }),
  "make-node": (step) => ({
    options: bits(step.setOwner),
    a: step.mode,
    b: pair(step.major, step.minor),
    c: pair(step.uid, step.gid),
    strings: [step.target],
  }),
  symlink: (step) => ({ strings: [step.content, step.target] }),
  "make-dir": (step) => ({ a: step.mode, c: pair(step.uid, step.gid), strings: [step.target] }),
  mask: (step) => ({ strings: [step.target] }),
  "readonly-path": (step) => ({ strings: [step.target] }),
  "root-readonly": () => ({}),
  console: (step) => ({ a: step.rows, b: step.columns }),
  "pivot-root": () => ({}),
  join: (step) => ({ a: step.flags }),
  "oom-score": (step) => ({ options: bits(step.clamp), a: step.value }),
  rlimit: (step) => ({ options: bits(step.clamp), a: step.resource, b: step.soft, c: step.hard }),
  "session-keyring": () => ({}),
  "cap-bounding": (step) => ({ a: step.mask }),
  "set-groups": (step) => ({ a: step.groups.length, strings: [groupBytes(step.groups)] }),
  "set-user": (step) => ({ a: step.uid, b: step.gid }),
  "cap-set": (step) => ({ a: step.effective, b: step.permitted, c: step.inheritable }),
  "cap-ambient": (step) => ({ a: step.mask }),
  "no-new-privs": () => ({}),
  seccomp: (step) => ({ a: step.flags, strings: [step.program] }),
  umask: (step) => ({ a: step.mask }),
  chdir: (step) => ({ strings: [step.directory] }),
  "exec-attribute": (step) => ({ strings: [step.file, step.value] }),
  ready: () => ({}),
  exec: (step) => ({
    a: step.argv.length,
    b: step.env.length,
    // Arguments are text; the environment may hold any bytes, and PATH is taken from it.
    strings: [
      { values: step.argv },
      { values: step.env, encoding: "latin1" },
      { values: [step.path], encoding: "latin1" },
      ...(step.file === undefined ? [] : [step.file]),
    ],
  }),
  pause: () => ({}),
  "join-path": (step) => ({ a: step.flags, strings: [step.path] }),
  "host-root": () => ({}),
  "user-namespace": (step) => ({ strings: [step.netnsPath, step.uidMap, step.gidMap] }),
  "enter-user-namespace": () => ({}),
  "take-mounts": (step) => ({ options: bits(step.rootOpen) }),
  "become-root": () => ({}),
  "own-stdio": (step) => ({ a: step.uid, b: step.gid }),
  "map-snapshots": (step) => ({ strings: [step.base] }),
  "file-ids": (step) => ({ a: step.uid, b: step.gid }),
  "image-tree": (step) => ({
    slot: step.slot,
    options: bits(step.forceLegacy),
    a: step.lowers.length,
    strings: [step.base, { values: step.lowers }, step.attachAt, step.subPath],
  }),
  "delegate-cgroup": (step) => ({ a: step.uid, b: step.gid, strings: [step.target] }),
  "share-group": (step) => ({ slot: step.slot, strings: [step.target] }),
  "mount-label": (step) => ({ strings: [step.label] }),
  "open-user-namespace": (step) => ({ slot: step.slot }),
  "host-directory": (step) => ({ strings: [step.path] }),
  "lock-mounts": () => ({}),
};

export function encodeStep(step: PlanStep): StepFields {
  const encode = ENCODERS[step.op] as (step: PlanStep) => StepFields;
  return encode(step);
}

/** Bit n is set when the n-th flag is. */
function bits(first: boolean, second = false, third = false): number {
  return (first ? 1 : 0) | (second ? 2 : 0) | (third ? 4 : 0);
}

function pair(high: number, low: number): number | bigint {
  return high === 0 ? low : (BigInt(high) << 32n) | BigInt(low);
}

function groupBytes(groups: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(4 * groups.length);
  groups.forEach((group, index) => {
    bytes.writeUInt32LE(group, 4 * index);
  });
  return bytes;
}
