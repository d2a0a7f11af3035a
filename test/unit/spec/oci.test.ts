import { join } from "node:path";
import { Compile } from "typebox/compile";
import { expect, test } from "vitest";
import { toOciSpec } from "../../../src/spec/oci.ts";
import { OciSpec } from "../../../src/types/oci-runtime.ts";
import { containerConfig, planInput, podConfig, RESOURCES, volume } from "./fixture.ts";
import { expectGoldenJson } from "./golden.ts";

const container = containerConfig(
  {
    mounts: [volume("/data", { readonly: true }), volume("/s", { propagation: "BIDIRECTIONAL" })],
    resources: { ...RESOURCES, memoryLimitBytes: 1024, cpuShares: 512, oomScoreAdj: 5 },
    envs: [{ name: "U", value: "\xc3\xbc" }],
  },
  { dropCapabilities: ["ALL"], addCapabilities: ["NET_RAW"] },
);

test("a container as the specification has it", () => {
  const spec = toOciSpec(planInput({ container }), { network: "/run/netns/berth-1" });
  expect(Compile(OciSpec).Check(spec)).toBe(true);
  expectGoldenJson(join(import.meta.dirname, "golden/oci-container.json"), spec);
});

test("a privileged one on the host's network", () => {
  const namespaces = { network: "NODE", pid: "NODE", ipc: "NODE", targetId: "" } as const;
  const spec = toOciSpec(
    planInput({
      pod: podConfig({ privileged: true, namespaces }),
      container: containerConfig({}, { privileged: true }),
    }),
  );
  expect(Compile(OciSpec).Check(spec)).toBe(true);
  expect(spec.hostname).toBeUndefined();
  expect(spec.linux.namespaces).toEqual([{ type: "mount" }, { type: "cgroup" }]);
  expect(spec.linux.maskedPaths).toEqual([]);
  expect(spec.process.capabilities.bounding).toHaveLength(41);
  expect(spec.mounts.find((mount) => mount.destination === "/sys")?.options).not.toContain("ro");
});
