import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { cdiDeviceNodes, cdiEdits } from "../../../src/containers/cdi-devices.ts";
import { silentLogger } from "../../../src/lib/call.ts";
import { cdiNames, editedConfig, joinEdits, parseCdiSpec } from "../../../src/spec/cdi.ts";
import { containerConfig, volume } from "../spec/fixture.ts";

let root: string;
let warnings: object[];
let directories: string[];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "berth-cdi-"));
  directories = [join(root, "etc"), join(root, "run"), join(root, "none")];
  for (const directory of directories.slice(0, 2)) mkdirSync(directory);
});
afterEach(() => rmSync(root, { recursive: true }));

const GPU = {
  cdiVersion: "0.6.0",
  kind: "vendor.example/gpu",
  containerEdits: { env: ["DRIVER=1"], mounts: [{ hostPath: "/lib/gpu", containerPath: "/usr/lib/gpu" }] },
  devices: [
    { name: "0", containerEdits: { deviceNodes: [{ path: "/dev/gpu0", hostPath: "/dev/null" }] } },
    { name: "1", containerEdits: { env: ["GPU=1"], additionalGids: [44, 44] } },
  ],
};

function put(place: "etc" | "run", file: string, value: unknown): void {
  writeFileSync(join(root, place, file), typeof value === "string" ? value : JSON.stringify(value));
}

function edits(...cdiDevices: string[]) {
  warnings = [];
  const log = { ...silentLogger, warn: (fields: object) => void warnings.push(fields) };
  return cdiEdits(directories, { cdiDevices, annotations: {} }, log);
}

test("devices of one file share what it says of all of them", async () => {
  put("etc", "gpu.json", GPU);
  expect(await edits("vendor.example/gpu=1", "vendor.example/gpu=0")).toMatchObject({
    env: ["DRIVER=1", "GPU=1"],
    mounts: GPU.containerEdits.mounts,
    deviceNodes: [{ path: "/dev/gpu0" }],
    additionalGids: [44],
  });
  expect(await edits()).toEqual(joinEdits([]));
});

test("YAML is read, and the later directory wins", async () => {
  put("etc", "gpu.json", GPU);
  const yaml = "cdiVersion: 0.6.0\nkind: vendor.example/gpu\ndevices:\n- name: '0'\n  containerEdits:\n";
  put("run", "gpu.yaml", `${yaml}    env: [WHERE=run]\n`);
  expect((await edits("vendor.example/gpu=0")).env).toEqual(["WHERE=run"]);
  expect((await edits("vendor.example/gpu=1")).env).toEqual(["DRIVER=1", "GPU=1"]);
});

test("a device of nobody, of two files, and of a broken file", async () => {
  put("etc", "a.json", GPU);
  put("etc", "broken.yaml", "kind: [");
  put("etc", "wrong.json", { ...GPU, kind: "nope" });
  await expect(edits("vendor.example/gpu=9")).rejects.toMatchObject({ code: "NOT_FOUND" });
  await expect(edits("vendor.example/gpu=9")).rejects.toThrow(/broken\.yaml.*wrong\.json": "kind"/s);
  put("etc", "b.json", GPU);
  await expect(edits("vendor.example/gpu=0")).rejects.toThrow(/a\.json" and ".*b\.json" both describe/);
});

test("what cannot be read is warned of with its reason, and does not keep other devices away", async () => {
  put("etc", "a.json", GPU);
  put("etc", "broken.json", "{");
  mkdirSync(join(root, "etc", "folder.json"));
  writeFileSync(join(root, "none"), "");
  expect((await edits("vendor.example/gpu=1")).env).toContain("GPU=1");
  expect(warnings).toEqual([
    { path: join(root, "etc", "broken.json"), error: expect.stringContaining("JSON") },
    { path: join(root, "etc", "folder.json"), error: "not a regular file" },
    { path: join(root, "none"), error: expect.stringContaining("ENOTDIR") },
  ]);
  await expect(edits("vendor.example/gpu=9")).rejects.toThrow(
    /cannot be used, mend or remove: ".*broken\.json": .*JSON.*folder\.json": not a regular.*none": ENOTDIR/s,
  );
  await edits();
  expect(warnings).toEqual([]);
});

test("an edit that berth does not know is not dropped", async () => {
  const device = { name: "0", containerEdits: { intelRdt: { closID: "x" } } };
  expect(() => parseCdiSpec({ ...GPU, devices: [device] })).toThrow("devices/0/containerEdits");
  expect(() => parseCdiSpec("text")).toThrow("the document");
});

test("YAML cannot multiply itself", async () => {
  const bomb = "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n";
  put("etc", "bomb.yaml", bomb);
  await expect(edits("vendor.example/gpu=0")).rejects.toThrow("bomb.yaml");
});

test("names come from the field and from annotations", () => {
  const annotations = { "cdi.k8s.io/plugin": "v/c=a, v/c=b", other: "x" };
  expect(cdiNames({ cdiDevices: ["v/c=b", "w/c=1"], annotations })).toEqual(["v/c=b", "w/c=1", "v/c=a"]);
  for (const name of ["gpu", "v/c", "v/c=", "/c=1", "v/c=../x"]) {
    expect(() => cdiNames({ cdiDevices: [name], annotations: {} })).toThrow("must be a name such as");
  }
});

test("edits come on top of the request", () => {
  const before = containerConfig(
    { envs: [{ name: "A", value: "1" }], mounts: [volume("/data"), volume("/keep")] },
    { supplementalGroups: [7] },
  );
  const options = ["rbind", "ro", "nosuid", "rslave"];
  const mounts = [{ hostPath: "/other", containerPath: "/data", options }];
  const after = editedConfig(before, joinEdits([{ env: ["A=2=3"], mounts, additionalGids: [7, 44] }]));
  expect(after.envs.at(-1)).toEqual({ name: "A", value: "2=3" });
  expect(after.mounts).toHaveLength(2);
  expect(after.mounts.at(-1)).toMatchObject({
    hostPath: "/other",
    readonly: true,
    propagation: "HOST_TO_CONTAINER",
    mountOptions: ["nosuid"],
  });
  expect(after.security.supplementalGroups).toEqual([7, 44]);
  const odd = joinEdits([{ mounts: [{ ...mounts[0]!, options: ["uid=0"] }] }]);
  expect(() => editedConfig(before, odd)).toThrow('option "uid=0"');
});

test("what a file leaves out of a node is the host's", async () => {
  const nodes = joinEdits([
    { deviceNodes: [{ path: "/dev/a", hostPath: "/dev/null", uid: 5, permissions: "r" }] },
    { deviceNodes: [{ path: "/dev/b", type: "b", major: 8, minor: 1, fileMode: 0o640 }] },
  ]);
  expect(await cdiDeviceNodes(nodes)).toEqual([
    { path: "/dev/a", type: "c", major: 1, minor: 3, mode: 0o666, uid: 5, gid: 0, access: "r" },
    { path: "/dev/b", type: "b", major: 8, minor: 1, mode: 0o640, uid: 0, gid: 0, access: "rwm" },
  ]);
  await expect(cdiDeviceNodes(joinEdits([{ deviceNodes: [{ path: "/nope" }] }]))).rejects.toMatchObject({
    code: "NOT_FOUND",
  });
});
