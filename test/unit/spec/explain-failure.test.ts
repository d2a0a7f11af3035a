import { expect, test } from "vitest";
import { BerthError, KernelError } from "../../../src/lib/errors.ts";
import { explainPlanFailure } from "../../../src/spec/explain-failure.ts";
import type { Plan, PlanStep } from "../../../src/types/plan.ts";
import { EVERY_STEP } from "./plans.ts";

const PLAN: Plan = { cloneFlags: 0, pidNamespace: "own", steps: EVERY_STEP };

function explained(op: PlanStep["op"], errno: string, path = ""): [string, string] {
  const index = EVERY_STEP.findIndex((step) => step.op === op);
  const error = explainPlanFailure("create container", PLAN, new KernelError(`plan:${index}`, errno, path));
  return [error.code, error.message];
}

test.each([
  ["mount", "EPERM", "/dev", "INTERNAL", 'create container: mount tmpfs on "/dev": EPERM'],
  ["mount", "EINVAL", "size=1", "INTERNAL", 'create container: mount tmpfs on "/dev" ("size=1"): EINVAL'],
  ["overlay-root", "ENOSPC", "", "RESOURCE_EXHAUSTED", '"/var/lib/berth/s/c/7/u": ENOSPC'],
  ["overlay-root", "E2BIG", "l/1", "FAILED_PRECONDITION", "2 layers are too many before Linux 6.5"],
  [
    "open-tree",
    "ENOENT",
    "/host/data",
    "INVALID_ARGUMENT",
    'open host path "/host/data": ENOENT; the host has no',
  ],
  ["open-tree", "EACCES", "/host/data", "INTERNAL", 'open host path "/host/data": EACCES'],
  ["join-netns", "ENOENT", "", "FAILED_PRECONDITION", 'join network namespace "/run/netns/berth-1": ENOENT'],
  ["chdir", "ENOENT", "/srv", "INVALID_ARGUMENT", 'enter working directory "/srv": no such directory'],
  ["exec", "ENOENT", "sh", "INVALID_ARGUMENT", 'exec "sh": executable file not found in $PATH'],
  ["exec", "EACCES", "sh", "INVALID_ARGUMENT", 'exec "sh": permission denied'],
  ["exec", "ENOMEM", "sh", "RESOURCE_EXHAUSTED", 'exec "sh": ENOMEM'],
  ["exec-attribute", "ENOENT", "", "FAILED_PRECONDITION", "the host has not loaded this profile"],
] as const)("%s %s", (op, errno, path, code, message) => {
  const [actualCode, actualMessage] = explained(op, errno, path);
  expect(actualMessage).toContain(message);
  expect(actualCode).toBe(code);
});

test.each([
  ["ENOENT", "UNAVAILABLE", "layer 2 of 3, from the top, is not mounted any more"],
  ["EOPNOTSUPP", "FAILED_PRECONDITION", 'layer_format = "directory"'],
  ["EINVAL", "INTERNAL", "layer 2 of 3, from the top, is an image and cannot be used: EINVAL"],
] as const)("a layer that is a mount: %s", (errno, code, message) => {
  for (const op of ["overlay-root", "image-tree"] as const) {
    const step = EVERY_STEP.find((one) => one.op === op) as Extract<PlanStep, { op: typeof op }>;
    const plan = { ...PLAN, steps: [{ ...step, lowers: ["l/3", "/proc/7/fd/9", "l/1"] }] };
    const cause = new KernelError("plan:0", errno, "/proc/7/fd/9");
    const error = explainPlanFailure("create", plan, cause);
    expect([error.code, error.message]).toEqual([code, expect.stringContaining(message)]);
    expect(error.message).not.toContain("/proc/7");
    expect(error.message.includes("ImageVolumeMountFailed")).toBe(op === "image-tree");
    const mapping = explainPlanFailure("create", plan, new KernelError("plan:0", "EINVAL", "fs:0xe0f5e1e2"));
    expect(mapping.message).toContain("mapping ids of a layer: EINVAL; its file system (EROFS) cannot");
  }
});

test("a path that is given is not searched", () => {
  const steps: PlanStep[] = [{ op: "exec", argv: ["/bin/x"], env: [], path: "/bin" }];
  const error = explainPlanFailure(
    "start",
    { ...PLAN, steps },
    new KernelError("plan:0", "ENOENT", "/bin/x"),
  );
  expect(error.message).toBe(
    'start: exec "/bin/x": no such file or directory, or its interpreter or loader is missing in the image',
  );
});

test("other errors keep their code", () => {
  const kernel = explainPlanFailure("create", PLAN, new KernelError("clone3", "ENOSPC", ""));
  expect([kernel.code, kernel.message]).toEqual(["RESOURCE_EXHAUSTED", "create: clone3: ENOSPC"]);
  const beyond = explainPlanFailure("create", PLAN, new KernelError("plan:99", "EIO", ""));
  expect(beyond.message).toBe("create: plan:99: EIO");
  expect(explainPlanFailure("create", PLAN, new BerthError("ABORTED", "x")).code).toBe("ABORTED");
  expect(explainPlanFailure("create", PLAN, "odd").message).toBe("create: odd");
});
