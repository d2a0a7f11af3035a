import { expect, test } from "vitest";
import { buildPodPlan } from "../../../src/spec/build-pod-plan.ts";
import { containerSelinux, podSelinux } from "../../../src/spec/selinux.ts";
import { HOST, podConfig, stepsOf } from "./fixture.ts";

const CONTEXTS = {
  process: "system_u:system_r:container_t:s0",
  file: "system_u:object_r:container_file_t:s0",
};
const host = { ...HOST, selinux: true, selinuxContexts: CONTEXTS };
const options = (more: object) => ({ user: "", role: "", type: "", level: "", ...more });

test("a pod gets what it leaves open from the policy, and categories of its own", () => {
  const first = podSelinux(undefined, false, host, [])!;
  expect(first).toMatchObject({ user: "system_u", role: "system_r", type: "container_t" });
  expect(first.level).toMatch(/^s0:c\d+,c\d+$/);
  const [low, high] = [...first.level.matchAll(/c(\d+)/g)].map((match) => Number(match[1]));
  expect(low).toBeLessThan(high as number);
  const asked = podSelinux(options({ level: "s0:c7", type: "spc_t" }), false, host, []);
  expect(asked).toEqual(options({ user: "system_u", role: "system_r", type: "spc_t", level: "s0:c7" }));
});

test("no two pods get the same categories", () => {
  const taken: string[] = [];
  for (let pod = 0; pod < 500; pod++) taken.push(podSelinux(undefined, false, host, taken)!.level);
  expect(new Set(taken).size).toBe(500);
});

test("containers share their pod's labels, under what they ask for themselves", () => {
  const pod = options({ user: "system_u", role: "system_r", type: "container_t", level: "s0:c1,c2" });
  expect(containerSelinux(pod, undefined, false, host)).toEqual({
    process: "system_u:system_r:container_t:s0:c1,c2",
    mount: "system_u:object_r:container_file_t:s0:c1,c2",
  });
  expect(containerSelinux(pod, options({ level: "s0:c5", type: "other_t" }), false, host)).toEqual({
    process: "system_u:system_r:other_t:s0:c5",
    mount: "system_u:object_r:container_file_t:s0:c5",
  });
});

test("nothing is labelled where SELinux is off, nor a privileged container that asks for nothing", () => {
  const asked = options({ level: "s0:c1" });
  expect(podSelinux(asked, false, HOST, [])).toBeNull();
  expect(containerSelinux(asked, asked, false, HOST)).toBeNull();
  expect(podSelinux(undefined, true, host, [])).toBeNull();
  const pod = podSelinux(asked, true, host, [])!;
  expect(containerSelinux(pod, undefined, true, host)).toBeNull();
  expect(containerSelinux(pod, asked, true, host)?.process).toBe("system_u:system_r:container_t:s0:c1");
});

test("a policy without containers serves only pods that ask for nothing", () => {
  const without = { ...host, selinuxContexts: undefined };
  expect(podSelinux(undefined, false, without, [])).toBeNull();
  expect(() => podSelinux(options({ type: "x_t" }), false, without, [])).toThrow("lxc_contexts");
});

test("parts of a label hold no others", () => {
  for (const wrong of [{ user: "a:b" }, { type: "x t" }, { level: "s0\n" }, { role: 'r"' }]) {
    expect(() => podSelinux(options(wrong), false, host, [])).toThrow("not part of a label");
  }
});

test("the pod's /dev/shm has the label of its files", () => {
  const config = podConfig();
  const label = "system_u:object_r:container_file_t:s0:c1";
  const { steps } = buildPodPlan({ config, netnsPath: "/n", mountLabel: label });
  expect(stepsOf(steps, "mount-label")).toEqual([{ op: "mount-label", label }]);
  const ops = steps.map((step) => step.op);
  expect(ops.indexOf("mount-label")).toBeLessThan(ops.indexOf("create-shm"));
});
