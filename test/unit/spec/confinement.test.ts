// Linux security modules in plans: AppArmor profiles and SELinux labels.

import { expect, test } from "vitest";
import type { HostFacts } from "../../../src/kernel/kernel.ts";
import { buildContainerPlan } from "../../../src/spec/build-container-plan.ts";
import { makeExecTemplate } from "../../../src/spec/exec-template.ts";
import type { ContainerPlanInput } from "../../../src/spec/inputs.ts";
import type { ContainerSecurity } from "../../../src/types/container.ts";
import { containerConfig, HOST, planInput, podConfig, stepsOf } from "./fixture.ts";

const stepsFor = (more: Partial<ContainerPlanInput>) => buildContainerPlan(planInput(more)).steps;

test("AppArmor", () => {
  const apparmor = { type: "Localhost", localhostRef: "localhost/mine" } as const;
  const container = containerConfig({}, { apparmor });
  expect(() => stepsFor({ container })).toThrow("the host has no AppArmor");
  const steps = stepsFor({ container, host: { ...HOST, apparmor: true } });
  expect(stepsOf(steps, "exec-attribute")).toEqual([
    { op: "exec-attribute", file: "exec", value: "exec mine" },
  ]);
});

test("the default AppArmor profile is for whoever names none, where it could be loaded", () => {
  const profiles = (more: Partial<ContainerSecurity>, host: Partial<HostFacts>) => {
    const container = containerConfig({}, more);
    const pod = podConfig({ privileged: true });
    const steps = stepsFor({ container, pod, host: { ...HOST, apparmor: true, ...host } });
    return stepsOf(steps, "exec-attribute").map((step) => step.value);
  };
  const loaded = { apparmorDefault: true };
  const ours = ["exec berth-default"];
  const named = (type: "RuntimeDefault" | "Unconfined") => ({ apparmor: { type, localhostRef: "" } });
  expect(profiles({}, loaded)).toEqual(ours);
  expect(profiles(named("RuntimeDefault"), loaded)).toEqual(ours);
  expect(profiles(named("Unconfined"), loaded)).toEqual([]);
  expect(profiles({ privileged: true }, loaded)).toEqual([]);
  expect(profiles({}, {})).toEqual([]);
  expect(() => profiles(named("RuntimeDefault"), {})).toThrow("could not load its profile");
  // Without AppArmor the host's confinement is none.
  expect(profiles(named("RuntimeDefault"), { apparmor: false })).toEqual([]);
});

test("SELinux: the label of processes, execs, keys and mounts", () => {
  const selinux = { process: "u:r:container_t:s0:c1,c2", mount: "u:object_r:container_file_t:s0:c1,c2" };
  const steps = stepsFor({ selinux });
  expect(stepsOf(steps, "exec-attribute")).toEqual([
    { op: "exec-attribute", file: "keycreate", value: selinux.process },
    { op: "exec-attribute", file: "exec", value: selinux.process },
  ]);
  expect(stepsOf(steps, "mount-label")).toEqual([{ op: "mount-label", label: selinux.mount }]);
  const ops = steps.map((step) => step.op);
  expect(ops.indexOf("mount-label")).toBeLessThan(ops.indexOf("overlay-root"));
  expect(ops.indexOf("exec-attribute")).toBeLessThan(ops.indexOf("session-keyring"));
  expect(makeExecTemplate(planInput({ selinux })).selinuxLabel).toBe(selinux.process);
});
