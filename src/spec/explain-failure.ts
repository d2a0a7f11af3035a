// From "plan:17, ENOENT" to a sentence that somebody can act on.

import { isAbsolute } from "node:path";
import { BerthError, type ErrorCode, KernelError, wrapError } from "../lib/errors.ts";
import { MS_SHARED } from "../types/linux.ts";
import type { Plan, PlanStep } from "../types/plan.ts";
import { describeStep, quoted } from "./describe-step.ts";
import { explainIdMapping, isIdMapping } from "./explain-id-mapping.ts";

/**
 * Explains why `plan` failed: `doing` ("create container"), the step in words, its path where that says more,
 * and the errno. KernelErrors of other steps and other errors are wrapped as they are.
 */
export function explainPlanFailure(doing: string, plan: Plan, error: unknown): BerthError {
  if (!(error instanceof KernelError)) return wrapError(doing, error);
  const index = /^plan:([0-9]+)$/.exec(error.step)?.[1];
  const step = index === undefined ? undefined : plan.steps[Number(index)];
  if (step === undefined) return wrapError(doing, error);
  const { code, text } = explained(step, error);
  return new BerthError(code, `${doing}: ${text}`, { cause: error });
}

function explained(step: PlanStep, error: KernelError): { code: ErrorCode; text: string } {
  switch (step.op) {
    case "exec":
      return explainedExec(step, error);
    case "chdir":
      return { code: clientCode(error), text: `${describeStep(step)}: ${reason(error)}` };
    case "map-snapshots":
    case "image-tree":
    case "attach-tree": {
      const known = explainedMount(step, error);
      if (known !== null) return known;
      break;
    }
    case "open-tree": {
      const known = explainedMount(step, error);
      if (known !== null) return known;
      if (error.errno !== "ENOENT") break;
      return {
        code: "INVALID_ARGUMENT",
        text: `${describeStep(step)}: ENOENT; the host has no such path`,
      };
    }
    case "exec-attribute":
      if (error.errno !== "ENOENT") break;
      return {
        code: "FAILED_PRECONDITION",
        text: `${describeStep(step)}: the host has not loaded this profile`,
      };
    case "overlay-root": {
      const known = explainedMount(step, error);
      if (known !== null) return known;
      if (error.errno !== "E2BIG") break;
      return {
        code: "FAILED_PRECONDITION",
        text: `${describeStep(step)}: ${step.lowers.length} layers are too many before Linux 6.5`,
      };
    }
  }
  const description = describeStep(step);
  const path =
    error.path === "" || description.includes(quoted(error.path)) ? "" : ` (${quoted(error.path)})`;
  // ENOENT of a step says that the host or the image lacks something, not that the container is unknown.
  const code = error.code === "NOT_FOUND" ? "FAILED_PRECONDITION" : error.code;
  return { code, text: `${description}${path}: ${error.errno}` };
}

type MountStep = Extract<
  PlanStep,
  { op: "map-snapshots" | "image-tree" | "overlay-root" | "attach-tree" | "open-tree" }
>;

/** What a host cannot do with a mount; null for the rest. The CRI's clients look for the tokens. */
function explainedMount(step: MountStep, error: KernelError): { code: ErrorCode; text: string } | null {
  const what = describeStep(step);
  const failed = (text: string) => ({ code: "FAILED_PRECONDITION" as const, text });
  switch (step.op) {
    case "overlay-root":
      return explainedLayer(step, what, error);
    case "image-tree": {
      const known = explainedLayer(step, `ImageVolumeMountFailed: ${what}`, error);
      if (known !== null) return known;
      if (error.errno === "ENOENT" && step.subPath !== "") {
        const text = `ImageVolumeMountFailed: ${what}: the image has no such path`;
        return { code: "INVALID_ARGUMENT", text };
      }
      return failed(`ImageVolumeMountFailed: ${what} (${quoted(error.path)}): ${error.errno}`);
    }
    case "attach-tree":
      if (error.errno !== "ENOSYS" || !step.recursiveAttributes) return null;
      return failed(`RROUnsupported: ${what}: this kernel cannot make mounts recursively read-only`);
    case "map-snapshots":
      return isIdMapping(error) ? failed(explainIdMapping(what, error)) : null;
    case "open-tree": {
      if (isIdMapping(error)) return failed(explainIdMapping(`${what}, mapping ids`, error));
      if (error.errno !== "EOPNOTSUPP") return null;
      const needed = step.requiredPropagation === MS_SHARED ? "shared" : "shared or slave";
      return failed(
        `${what}: it lies on a mount that is not ${needed}, so mounts do not propagate; make it so on the ` +
          'host ("mount --make-rshared"), or ask for private propagation',
      );
    }
  }
}

/** What goes wrong with a layer that is a mount of its own; null for the rest. */
function explainedLayer(
  { lowers }: Extract<PlanStep, { op: "image-tree" | "overlay-root" }>,
  what: string,
  error: KernelError,
): { code: ErrorCode; text: string } | null {
  if (isIdMapping(error)) {
    return { code: "FAILED_PRECONDITION", text: explainIdMapping(`${what}, mapping ids of a layer`, error) };
  }
  if (!isAbsolute(error.path) || !lowers.includes(error.path)) return null;
  const which = `${what}: layer ${lowers.indexOf(error.path) + 1} of ${lowers.length}, from the top,`;
  switch (error.errno) {
    case "ENOENT":
      return {
        code: "UNAVAILABLE",
        text: `${which} is not mounted any more: the daemon was restarted; try again`,
      };
    case "EOPNOTSUPP":
      return {
        code: "FAILED_PRECONDITION",
        text:
          `${which} is an image, of which this kernel makes no root; set layer_format = "directory" under ` +
          "[images] and pull again",
      };
    default:
      return { code: error.code, text: `${which} is an image and cannot be used: ${error.errno}` };
  }
}

function explainedExec(
  step: Extract<PlanStep, { op: "exec" }>,
  error: KernelError,
): { code: ErrorCode; text: string } {
  const name = step.file ?? step.argv[0] ?? "";
  const searched = !name.includes("/");
  return { code: clientCode(error), text: `exec ${quoted(name)}: ${execReason(error, searched)}` };
}

function execReason(error: KernelError, searched: boolean): string {
  switch (error.errno) {
    case "ENOENT":
      return searched
        ? "executable file not found in $PATH"
        : "no such file or directory, or its interpreter or loader is missing in the image";
    case "EACCES":
      return "permission denied: not executable by the container's user, or on a noexec mount";
    case "ENOEXEC":
      return "exec format error: built for another architecture, or a script without #! line";
    default:
      return error.errno;
  }
}

function reason(error: KernelError): string {
  switch (error.errno) {
    case "ENOENT":
      return "no such directory in the container";
    case "ENOTDIR":
      return "not a directory";
    case "EACCES":
      return "permission denied";
    default:
      return error.errno;
  }
}

/** Failures that come from what the client or the image named. */
function clientCode(error: KernelError): ErrorCode {
  const named = ["ENOENT", "EACCES", "ENOTDIR", "ENOEXEC", "ELOOP", "ENAMETOOLONG", "E2BIG", "EISDIR"];
  return named.includes(error.errno) ? "INVALID_ARGUMENT" : error.code;
}
