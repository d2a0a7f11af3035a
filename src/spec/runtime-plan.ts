// Plans that execute a foreign OCI runtime: what is prepared for it in a mount namespace of its own, and its
// command line. Nothing of it is seen in the host's mount table, and all of it is gone when the runtime ends.

import { join } from "node:path";
import type { ExecTemplate, ProcessUser } from "../types/container.ts";
import {
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWUTS,
  MS_REC,
  MS_SHARED,
  MS_SLAVE,
  RLIMIT,
} from "../types/linux.ts";
import type { Plan, PlanStep } from "../types/plan.ts";
import {
  directorySteps,
  imageSteps,
  labelSteps,
  openSteps,
  rootStep,
  SHM_SLOT,
  shmStep,
} from "./build-container-plan.ts";
import { UMASK } from "./identity.ts";
import type { ContainerPlanInput, RuntimeCommand } from "./inputs.ts";
import { limitSteps, oomScoreStep } from "./limits.ts";
import { attachSlot, sourceSteps } from "./runtime-mounts.ts";
import { hostRoot, hostUser, userMappingOf } from "./user-namespace.ts";
import { volumesOf } from "./volumes.ts";

/** Where runtimes look for the hierarchy. */
const CGROUP_MOUNT = "/sys/fs/cgroup";
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * The plan of "create": the container's root is mounted at `paths.rootAttach`, and what else comes from the
 * host beside it (runtime-mounts.ts). `cgroupsPath` is that of config.json.
 */
export function buildRuntimeCreatePlan(
  input: ContainerPlanInput,
  command: RuntimeCommand,
  cgroupsPath: string,
): Plan {
  const { pod, container, host } = input;
  const volumes = volumesOf(input);
  const mapping = userMappingOf(pod.security.namespaces);
  const root = hostRoot(mapping);
  const steps: PlanStep[] = [
    ...hostNamespaces(command.daemonPid),
    ...openSteps(volumes, (volume) => volume.propagation === MS_SHARED),
    ...(mapping === null ? [] : ([{ op: "own-stdio", ...hostUser(mapping, input.user) }] as const)),
    oomScoreStep(container.resources?.oomScoreAdj ?? 0, host),
    { op: "mount-propagation", flags: MS_REC | MS_SLAVE },
    ...openSteps(volumes, (volume) => volume.propagation !== MS_SHARED),
    shmStep(pod.security.namespaces.ipc === "NODE"),
    ...(mapping === null ? [] : ([{ op: "map-snapshots", base: input.paths.snapshots }] as const)),
    ...labelSteps(input),
    ...imageSteps(input, volumes),
    ...sourceSteps(input, volumes, root),
    { op: "host-root" },
    ...cgroupView(command.cgroupMount),
    ...(mapping !== null && container.security.privileged
      ? ([{ op: "delegate-cgroup", target: join(CGROUP_MOUNT, cgroupsPath), ...root }] as const)
      : []),
    rootStep(input),
    ...directorySteps(input, root),
    ...inheritedLimits(input),
    ...(mapping === null ? [] : ([{ op: "lock-mounts" }] as const)),
    ...execution(command),
  ];
  return { cloneFlags: CLONE_NEWNS, pidNamespace: "own", steps };
}

/** The plan of every other command. `oomScore` and limits are what a process of an exec inherits. */
export function buildRuntimeCommandPlan(command: RuntimeCommand, inherited: PlanStep[] = []): Plan {
  return {
    cloneFlags: CLONE_NEWNS,
    pidNamespace: "own",
    steps: [
      ...hostNamespaces(command.daemonPid),
      { op: "mount-propagation", flags: MS_REC | MS_SLAVE },
      { op: "host-root" },
      ...cgroupView(command.cgroupMount),
      ...inherited,
      ...execution(command),
    ],
  };
}

/** What the process of an exec inherits from the runtime that starts it; `user` is who it is to be. */
export function inheritedByExec(
  template: ExecTemplate,
  user: ProcessUser,
  host: ContainerPlanInput["host"],
): PlanStep[] {
  const mapping = template.userMapping ?? null;
  return [
    ...(mapping === null ? [] : ([{ op: "own-stdio", ...hostUser(mapping, user) }] as const)),
    oomScoreStep(template.oomScoreAdj ?? 0, host),
    ...inheritedLimits({ host }),
  ];
}

/** The monitor lives in the pod's namespaces; runtimes and their hooks belong into the host's. */
export function hostNamespaces(daemonPid: number): PlanStep[] {
  const of = (name: string, flags: number): PlanStep => {
    return { op: "join-path", path: `/proc/${daemonPid}/ns/${name}`, flags };
  };
  return [of("net", CLONE_NEWNET), of("uts", CLONE_NEWUTS), of("ipc", CLONE_NEWIPC)];
}

/**
 * On a host that mounts cgroup v1 too, the runtime is shown v2 alone: it would else put the container into
 * v1 cgroups, or refuse.
 */
function cgroupView(mount: string): PlanStep[] {
  if (mount === CGROUP_MOUNT) return [];
  return [
    {
      op: "open-tree",
      slot: SHM_SLOT,
      source: mount,
      recursive: false,
      idMap: "none",
      requiredPropagation: 0,
    },
    attachSlot(CGROUP_MOUNT, 0),
  ];
}

function inheritedLimits({ host }: Pick<ContainerPlanInput, "host">): PlanStep[] {
  return limitSteps(host).filter((step) => step.op === "rlimit" && step.resource !== RLIMIT.nofile);
}

function execution(command: RuntimeCommand): PlanStep[] {
  return [
    { op: "umask", mask: UMASK },
    { op: "chdir", directory: command.directory },
    { op: "exec", argv: command.argv, env: [`PATH=${PATH}`], path: PATH },
  ];
}
