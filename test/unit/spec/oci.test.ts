import { join } from "node:path";
import { Compile } from "typebox/compile";
import { expect, test } from "vitest";
import type { ContainerPlanInput, OciSpecInput } from "../../../src/spec/inputs.ts";
import { toOciSpec } from "../../../src/spec/oci.ts";
import { defaultSeccompRules } from "../../../src/spec/seccomp-default.ts";
import type { ContainerConfig } from "../../../src/types/container.ts";
import { OciSpec } from "../../../src/types/oci-runtime.ts";
import { NO_RESOURCES } from "../../../src/types/pod.ts";
import { containerConfig, planInput, podConfig, volume } from "./fixture.ts";
import { expectGoldenJson } from "./golden.ts";

const NAMESPACE_PATHS = { network: "/run/netns/berth-1", ipc: "/proc/7/ns/ipc", uts: "/proc/7/ns/uts" };

const spec = (container: ContainerPlanInput, changes: Partial<OciSpecInput> = {}) => {
  const made = toOciSpec({
    container,
    rootPath: "/run/berth/rootfs",
    namespaces: { ...NAMESPACE_PATHS, pid: "/proc/8/ns/pid" },
    cgroupsPath: "/berth/berth-1/c-1",
    seccomp: null,
    hooks: {},
    ...changes,
  });
  expect(Compile(OciSpec).Check(made)).toBe(true);
  // Nothing that JSON would lose or change.
  expect(JSON.parse(JSON.stringify(made))).toEqual(made);
  return made;
};

const container = containerConfig(
  {
    mounts: [volume("/data", { readonly: true }), volume("/s", { propagation: "BIDIRECTIONAL" })],
    resources: { ...NO_RESOURCES, memoryLimitBytes: 1024, cpuShares: 512, oomScoreAdj: 5 },
    envs: [{ name: "U", value: "\xc3\xbc" }],
    devices: [{ containerPath: "/dev/x", hostPath: "/dev/null", permissions: "r" }],
  },
  { dropCapabilities: ["ALL"], addCapabilities: ["NET_RAW"] },
);
const device = {
  path: "/dev/x",
  type: "c",
  major: 1,
  minor: 3,
  mode: 0o666,
  uid: 0,
  gid: 0,
  access: "r",
} as const;

test("a container as the specification has it", () => {
  const hook = { path: "/usr/libexec/hook", args: ["hook", "now"], env: ["A=b"], timeout: 5 };
  const rules = defaultSeccompRules({ capabilities: 0n, architecture: "x86_64", kernelRelease: "6.1.0" });
  const seccomp = { ...rules, rules: rules.rules.slice(-2) };
  const made = spec(planInput({ container, devices: [device] }), { hooks: { prestart: [hook] }, seccomp });
  expectGoldenJson(join(import.meta.dirname, "golden/oci-container.json"), made);
});

test("a privileged one on the host's network", () => {
  const namespaces = { network: "NODE", pid: "NODE", ipc: "NODE", targetId: "" } as const;
  const made = spec(
    planInput({
      pod: podConfig({ privileged: true, namespaces }),
      container: containerConfig({}, { privileged: true }),
    }),
  );
  expect(made.linux.namespaces).toEqual([{ type: "mount" }, { type: "cgroup" }]);
  expect(made.linux.maskedPaths).toEqual([]);
  expect(made.linux.resources).toEqual({ devices: [{ allow: true, access: "rwm" }] });
  expect(made.process.capabilities.bounding).toHaveLength(41);
  expect(made.mounts.find((mount) => mount.destination === "/sys")?.options).not.toContain("ro");
});

test.each(["HOST_TO_CONTAINER", "BIDIRECTIONAL"] as const)("a volume with propagation %s", (propagation) => {
  const made = spec(planInput({ container: containerConfig({ mounts: [volume("/v", { propagation })] }) }));
  const kind = propagation === "BIDIRECTIONAL" ? "rshared" : "rslave";
  expect(made.linux.rootfsPropagation).toBe(kind);
  expect(made.mounts.find((mount) => mount.destination === "/v")?.options).toContain(kind);
});

test("an environment that JSON cannot hold is refused by name", () => {
  const envs: ContainerConfig["envs"] = [{ name: "BYTES", value: "\xff" }];
  expect(() => spec(planInput({ container: containerConfig({ envs }) }))).toThrow('"BYTES": not UTF-8');
});
