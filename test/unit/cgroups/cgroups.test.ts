import { describe, expect, test } from "vitest";
import { applyLimits, type LimitTarget } from "../../../src/cgroups/apply-limits.ts";
import { destroyCgroup } from "../../../src/cgroups/destroy-cgroup.ts";
import { limitDevices } from "../../../src/cgroups/limit-devices.ts";
import { podCgroupPath } from "../../../src/cgroups/pod-cgroup.ts";
import { FakeKernel } from "../../../src/kernel/fake.ts";
import { silentLogger } from "../../../src/lib/call.ts";

describe("podCgroupPath", () => {
  test("lies beneath the mount", () => {
    expect(podCgroupPath("/sys/fs/cgroup", "/kubepods/burstable/pod1", "berth-x")).toBe(
      "/sys/fs/cgroup/kubepods/burstable/pod1/berth-x",
    );
    expect(podCgroupPath("/cg", "", "b")).toBe("/cg/b");
    expect(podCgroupPath("/cg", "/kubepods.slice", "b")).toBe("/cg/kubepods.slice/b");
  });

  test.each(["/../x", "a/../../b", "/a/./b", "/a\0b"])("refuses %j", (parent) => {
    expect(() => podCgroupPath("/cg", parent, "b")).toThrow("is not a directory name");
  });

  test("tells who speaks systemd", () => {
    expect(() => podCgroupPath("/cg", "kubepods.slice", "b")).toThrow("cgroupfs driver");
  });
});

describe("limitDevices", () => {
  const rules = [{ type: "c", major: 1, minor: 3, access: "rwm" }] as const;
  const target = { cgroupPath: "/cg/c", missingController: "refuse", deviceFilter: true } as const;

  test("filters where the kernel can", async () => {
    const kernel = new FakeKernel();
    await limitDevices(kernel, silentLogger, target, rules);
    expect(kernel.calls).toEqual([{ name: "attachDeviceFilter", args: ["/cg/c", rules] }]);
  });

  test("refuses where it cannot, unless the configuration says to warn", async () => {
    const kernel = new FakeKernel();
    const without = { ...target, deviceFilter: false };
    await expect(limitDevices(kernel, silentLogger, without, rules)).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("filter devices by BPF"),
    });
    await limitDevices(kernel, silentLogger, { ...without, missingController: "warn" }, rules);
    expect(kernel.calls).toEqual([]);
  });
});

describe("applyLimits", () => {
  const target: LimitTarget = {
    mount: "/cg",
    cgroupPath: "/cg/berth/pod/c-1",
    available: ["memory"],
    missingController: "refuse",
  };
  const memory = { file: "memory.max", value: "1024", controller: "memory" };
  const cpu = { file: "cpu.weight", value: "100", controller: "cpu" };

  async function made(): Promise<FakeKernel> {
    const kernel = new FakeKernel();
    await kernel.createCgroup(target.cgroupPath);
    kernel.cgroups.set("/cg", new Map());
    return kernel;
  }

  test("enables the controller in every ancestor, from the top, and then writes", async () => {
    const kernel = await made();
    kernel.cgroups.get("/cg")?.set("cgroup.subtree_control", "cpuset memory\n");
    await applyLimits(kernel, silentLogger, target, [memory]);
    const writes = kernel.calls.filter((call) => call.name === "writeCgroup").map((call) => call.args);
    expect(writes).toEqual([
      ["/cg/berth", "cgroup.subtree_control", "+memory"],
      ["/cg/berth/pod", "cgroup.subtree_control", "+memory"],
      ["/cg/berth/pod/c-1", "memory.max", "1024"],
    ]);
  });

  test("refuses a limit without controller before anything is written", async () => {
    const kernel = await made();
    const refused = applyLimits(kernel, silentLogger, target, [memory, cpu]);
    await expect(refused).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: /"cpu.weight".*"cpu"/,
    });
    expect(kernel.names()).not.toContain("writeCgroup");
  });

  test("leaves it out when the configuration says so", async () => {
    const kernel = await made();
    await applyLimits(kernel, silentLogger, { ...target, missingController: "warn" }, [cpu]);
    expect(kernel.names()).not.toContain("writeCgroup");
  });
});

test("a cgroup whose processes do not die is not removed", async () => {
  const kernel = new FakeKernel();
  await kernel.createCgroup("/cg/x");
  kernel.killCgroup = async () => false;
  await expect(destroyCgroup(kernel, "/cg/x", "pod")).rejects.toThrow("after SIGKILL");
  expect(kernel.cgroups.has("/cg/x")).toBe(true);
});
