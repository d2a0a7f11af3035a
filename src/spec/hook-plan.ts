// Plans of OCI hooks that berth runs itself (native handler), and the state that they read.

import type { Hook, HookStage } from "../types/handler.ts";
import type { Plan, PlanStep } from "../types/plan.ts";
import type { UserMapping } from "../types/pod.ts";
import { buildExecPlan, joinSteps } from "./build-exec-plan.ts";
import { UMASK } from "./identity.ts";
import type { ExecPlanInput } from "./inputs.ts";
import { OCI_VERSION } from "./oci.ts";
import { bytesOf, DEFAULT_PATH } from "./process.ts";
import { hostNamespaces } from "./runtime-plan.ts";
import { hostRoot } from "./user-namespace.ts";

/** Status of the container in a hook's state (OCI runtime specification, runtime.md, "State"). */
const STATUS: Readonly<Record<HookStage, string>> = {
  prestart: "creating",
  createRuntime: "creating",
  createContainer: "creating",
  startContainer: "created",
  poststart: "running",
  poststop: "stopped",
};

export interface HookState {
  readonly id: string;
  /** 0: there is no process any more. */
  readonly pid: number;
  readonly bundle: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/** What a hook reads from its standard input. */
export function hookInput(stage: HookStage, state: HookState): Buffer {
  const { pid, ...rest } = state;
  const process = pid > 0 ? { pid } : {};
  return Buffer.from(JSON.stringify({ ociVersion: OCI_VERSION, status: STATUS[stage], ...process, ...rest }));
}

/** A hook in the namespaces of the host, where the runtime would be. */
export function buildRuntimeHookPlan(hook: Hook, daemonPid: number, directory: string): Plan {
  return {
    cloneFlags: 0,
    pidNamespace: "own",
    steps: [
      ...hostNamespaces(daemonPid),
      { op: "umask", mask: UMASK },
      { op: "chdir", directory },
      execution(hook),
    ],
  };
}

/**
 * A hook in the container's namespaces before its root is entered: its path is still one of the host. With a
 * user namespace it is root of that, and nobody on the host.
 */
export function buildCreateContainerHookPlan(hook: Hook, mapping: UserMapping | null): Plan {
  return {
    cloneFlags: 0,
    pidNamespace: "container",
    steps: [
      ...joinSteps(mapping, hostRoot(mapping)),
      { op: "umask", mask: UMASK },
      { op: "chdir", directory: "/" },
      execution(hook),
    ],
  };
}

/** A program of the image, confined as the container's own: user, capabilities, filter. */
export function buildStartContainerHookPlan(hook: Hook, input: Omit<ExecPlanInput, "argv">): Plan {
  const plan = buildExecPlan({ ...input, argv: [hook.path] });
  return { ...plan, steps: plan.steps.map((step) => (step.op === "exec" ? execution(hook) : step)) };
}

function execution(hook: Hook): PlanStep {
  return {
    op: "exec",
    argv: hook.args,
    env: hook.env.map(bytesOf),
    path: DEFAULT_PATH,
    file: hook.path,
  };
}
