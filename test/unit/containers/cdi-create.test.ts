import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { createContainer } from "../../../src/containers/create-container.ts";
import { runPodSandbox } from "../../../src/pods/run-pod-sandbox.ts";
import { findContainer } from "../../../src/store/containers.ts";
import { containerConfig, makeCall, makeWorld, podConfig } from "./world.ts";

test("a container is made of one reading of the specifications", async () => {
  const world = makeWorld();
  const folder = join(dirname(world.deps.paths.root), "cdi");
  mkdirSync(folder);
  const put = (word: string) => {
    const hooks = [{ hookName: "poststop", path: `/bin/${word}` }];
    const devices = [{ name: "0", containerEdits: { env: [`WORD=${word}`], hooks } }];
    const specification = { cdiVersion: "0.6.0", kind: "vendor.example/gpu", devices };
    writeFileSync(join(folder, "gpu.json"), JSON.stringify(specification));
  };
  const config = { ...world.deps.config, cdiSpecDirs: [folder] };
  const deps = { ...world.deps, config };
  const podId = await runPodSandbox(deps, world.call, { config: podConfig(), handler: "" });
  put("first");
  const call = makeCall((_, step) => {
    if (step === "reserve") put("second");
  });
  const cdiDevices = ["vendor.example/gpu=0"];
  const id = await createContainer(deps, call, { podId, config: containerConfig({ cdiDevices }) });
  const container = findContainer(deps.store, id);
  expect(container?.runtime?.hooks).toMatchObject({ poststop: [{ path: "/bin/first" }] });
  expect(container?.execTemplate.env.map(String)).toContain("WORD=first");
});
