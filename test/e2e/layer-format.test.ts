// What layer_format, and a host that can do less than it could, mean for images that are there.

import { execFileSync } from "node:child_process";
import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Daemon } from "./daemon.ts";
import { hostForms } from "./images/support/deps.ts";
import { flipByte, partsOf } from "./images/support/layers.ts";
import { BUSYBOX, PROBE, Stage, type TestImage } from "./support/stage.ts";

const FORMAT = /^layer_format = .*$/m;
const LEGACY = /^force_legacy_overlay = .*$/m;

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.make([PROBE], [BUSYBOX], {
    head: "force_legacy_overlay = false\n",
    toml: '[images]\nlayer_format = "directory"\n',
  });
});
afterAll(async () => {
  await stage.remove();
});
beforeEach((context) => context.skip(hostForms.form !== "erofs", hostForms.erofsMissing));

async function restartWith(pattern: RegExp, line: string): Promise<void> {
  const { config } = stage.daemon.scratch;
  const text = readFileSync(config, "utf8");
  expect(text).toMatch(pattern);
  writeFileSync(config, text.replace(pattern, line));
  await stage.daemon.restart();
}

const layers = () => readdirSync(join(stage.daemon.scratch.root, "s/l")).map((name) => pathOf(name));
const pathOf = (name: string) => join(stage.daemon.scratch.root, "s/l", name);
const isImage = (path: string) => lstatSync(path).isFile();
const shown = async () => /^Layers: +(.*)$/m.exec(await stage.daemon.berth("info"))?.[1];
const pull = (image: string) => stage.daemon.ask("pullImage", { image: { image } });
const isThere = async (image: TestImage) =>
  (await stage.daemon.ask<{ image?: object }>("imageStatus", { image: { image } })).image != null;

async function runs(image: TestImage): Promise<void> {
  const pod = await stage.runPod(`of-${Math.random()}`);
  await stage.run(pod, "c", image, image === PROBE ? ["/probe", "sleep"] : ["sleep", "100"]);
  await stage.daemon.ask("removePodSandbox", { podSandboxId: pod });
}

test("layers that are there stay what they are, and both forms are used side by side", async () => {
  expect(await shown()).toBe('directory (layer_format is "directory")');
  expect(layers().map(isImage)).toEqual([false]);
  await restartWith(FORMAT, 'layer_format = "auto"');
  expect(await shown()).toBe("erofs (this host can mount EROFS images)");
  const { info } = await stage.daemon.ask<{ info: { config: string } }>("status", { verbose: true });
  expect(JSON.parse(info.config)).toMatchObject({ layerForm: "erofs" });
  await pull(BUSYBOX);
  expect(layers().map(isImage).sort()).toEqual([false, true]);
  await restartWith(FORMAT, 'layer_format = "directory"');
  for (const image of [PROBE, BUSYBOX] as const) await runs(image);
  expect(await stage.daemon.berth("image", "verify", "--full")).not.toContain("DAMAGED");
});

test("where they can be used no more, images are absent until they are pulled as directories", async () => {
  const images = () => layers().filter(isImage);
  const [image = ""] = images();
  // As on a kernel that takes no mounts as layers.
  await restartWith(LEGACY, "force_legacy_overlay = true");
  expect(await shown()).toContain("directory");
  expect([await isThere(PROBE), await isThere(BUSYBOX)]).toEqual([true, false]);
  expect(await stage.daemon.tryBerth("image", "verify")).toMatchObject({
    code: 1,
    stdout: expect.stringContaining("cannot be used on this host: force_legacy_overlay"),
  });
  const pod = await stage.runPod("unusable");
  await expect(stage.run(pod, "c", BUSYBOX, ["true"])).rejects.toMatchObject({
    details: expect.stringMatching(/cannot be used on this host.*pull the image again/),
  });
  // The step forward again: nothing was lost.
  await restartWith(LEGACY, "force_legacy_overlay = false");
  await runs(BUSYBOX);
  expect(images()).toEqual([image]);
  await restartWith(LEGACY, "force_legacy_overlay = true");
  await pull(BUSYBOX);
  await runs(BUSYBOX);
  await stage.daemon.ask("removePodSandbox", { podSandboxId: pod });
  await restartWith(LEGACY, "force_legacy_overlay = false");
  expect(layers().map(isImage)).toEqual([false, false]);
});

test("a start finds what is wrong with a header or an index, and no container is made of it", async () => {
  await restartWith(FORMAT, 'layer_format = "erofs"');
  for (const part of ["header", "index"] as const) {
    await stage.daemon.berth("rmi", BUSYBOX);
    await pull(BUSYBOX);
    const [image = ""] = layers().filter(isImage);
    await stage.daemon.stop("SIGKILL");
    flipByte(image, part === "header" ? 20 : partsOf(image).index + 77);
    await stage.daemon.start();
    while (await isThere(BUSYBOX)) await sleep(20);
    const pod = await stage.runPod(`damaged-${part}`);
    await expect(stage.run(pod, "c", BUSYBOX, ["true"])).rejects.toMatchObject({
      details: expect.stringContaining("berth image repair"),
    });
    expect(await stage.daemon.berth("image", "repair")).toContain("repaired");
    await runs(BUSYBOX);
    await stage.daemon.ask("removePodSandbox", { podSandboxId: pod });
  }
});

test("a daemon that is to use images where the file system cannot carry them says why", async () => {
  const daemon = new Daemon({ toml: '[images]\nlayer_format = "erofs"\n' });
  try {
    mkdirSync(daemon.scratch.root);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=16m", "tmpfs", daemon.scratch.root]);
    const why = /layer_format \\?"erofs\\?" cannot be used on this host: .*E[A-Z]+/;
    await expect(daemon.start()).rejects.toThrow(why);
  } finally {
    await daemon.remove();
  }
});
