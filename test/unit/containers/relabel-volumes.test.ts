import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { relabelVolumes } from "../../../src/containers/relabel-volumes.ts";
import { KernelError } from "../../../src/lib/errors.ts";
import { volume } from "../spec/fixture.ts";
import { makeWorld } from "./world.ts";

const LABELS = { process: "u:r:container_t:s0", mount: "u:object_r:container_file_t:s0" };

test("only the volumes that ask for it, and none of the system's directories", async () => {
  const { deps, kernel } = makeWorld();
  const mounts = [volume("/a"), volume("/b", { selinuxRelabel: true })];
  await relabelVolumes(deps, { mounts }, LABELS);
  expect(kernel.calls.filter(({ name }) => name === "relabel")).toEqual([
    { name: "relabel", args: ["/host/b", LABELS.mount] },
  ]);
  for (const hostPath of ["/", "/etc", "/usr/"]) {
    const system = [volume("/x", { hostPath, selinuxRelabel: true })];
    await expect(relabelVolumes(deps, { mounts: system }, LABELS)).rejects.toThrow("of the system");
  }
});

test("a missing volume is made", async () => {
  const { deps, kernel } = makeWorld();
  const root = mkdtempSync(join(tmpdir(), "berth-relabel-"));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const hostPath = join(root, "new");
  kernel.failures.set("relabel", new KernelError("open", "ENOENT", hostPath));
  const mounts = [volume("/a", { hostPath, selinuxRelabel: true })];
  // Tried again once it is there; this kernel still says no.
  await expect(relabelVolumes(deps, { mounts }, LABELS)).rejects.toThrow(`relabel volume "${hostPath}"`);
  expect(kernel.calls.filter(({ name }) => name === "relabel")).toHaveLength(2);
  kernel.failures.clear();
  await relabelVolumes(deps, { mounts }, LABELS);
});
