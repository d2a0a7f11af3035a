// The command line on images: names, archives, registries and the disk, through a whole daemon.

import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { harmLayer, isImage } from "./images/support/layers.ts";
import { PROBE, Stage } from "./support/stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.make([PROBE], [], {
    toml: '[images]\npinned = ["docker.io/library/pinned:*"]\n',
  });
});
afterAll(async () => {
  await stage.remove();
});

const tryBerth = (...args: string[]) => stage.daemon.tryBerth(...args);
const berth = (...args: string[]) => stage.daemon.berth(...args);

const file = (name: string) => join(stage.daemon.scratch.folder, name);

test("tag, push, rmi, pull again: the same image", async () => {
  const [id = ""] = (await berth("images", "-q", "--no-trunc")).split("\n");
  const target = `${stage.registry.host}/copy/probe:2`;
  await berth("tag", PROBE, target);
  expect(await berth("push", target)).toMatch(
    /^[0-9a-f]{12}: .*\n(?:.*\n)*2: digest: sha256:[0-9a-f]{64} size: \d+\n/,
  );
  expect(await berth("rmi", target)).toBe(`Untagged: ${target}\n`);
  await berth("rmi", PROBE);
  expect(await berth("images", "-q")).toBe("");
  expect(await berth("pull", target)).toContain(id);
  await berth("tag", target, PROBE);
});

test("save, rmi, load: as a file, a stream and a directory", async () => {
  for (const [format, out] of [
    ["docker", "d.tar"],
    ["oci", "o.tar"],
    ["oci-dir", "layout"],
  ] as const) {
    await berth("save", "--format", format, "-o", file(out), PROBE);
    await berth("rmi", "-f", PROBE);
    expect(await berth("load", "-i", file(out))).toContain(`Loaded image: ${PROBE}\n`);
  }
  expect((await tryBerth("save", "-o", file("none.tar"), "nothing:1")).code).toBe(1);
  expect(existsSync(file("none.tar"))).toBe(false);
});

test("a pinned image is shown to the kubelet, and rmi leaves it alone", async () => {
  await berth("tag", PROBE, "pinned:1");
  const { images } = await stage.daemon.ask<{ images: { pinned: boolean }[] }>("listImages", {});
  expect(images.some(({ pinned }) => pinned)).toBe(true);
  const others = (await berth("images", "--format", "{{.Repository}}:{{.Tag}}")).trim().split("\n");
  for (const name of others.filter((each) => each !== "pinned:1")) await berth("rmi", name);
  expect(await tryBerth("rmi", "pinned:1")).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("pins it"),
  });
  await berth("tag", "pinned:1", PROBE);
  await berth("rmi", "pinned:1");
});

test("export and import: a container's tree as an image", async () => {
  const pod = await stage.runPod("exported");
  const container = await stage.run(pod, "c", PROBE, ["/probe", "sleep"]);
  await berth("export", "-o", file("tree.tar"), container);
  const id = (await berth("import", "-c", 'ENTRYPOINT ["/probe"]', file("tree.tar"), "again:1")).trim();
  expect(await berth("images", "-q", "--no-trunc", "again:1")).toBe(`${id}\n`);
  expect(await berth("run", "--rm", "--network", "host", "again:1", "report", "--json")).toContain("{");
  await berth("rmi", "again:1");
  await stage.daemon.ask("removePodSandbox", { podSandboxId: pod });
});

test("system df adds up to the directory", async () => {
  const { root } = stage.daemon.scratch;
  const lines = (await berth("system", "df", "--format", "{{.Type}} {{.Bytes}}")).trim().split("\n");
  const sum = lines.reduce((total, line) => total + Number(line.split(" ").at(-1)), 0);
  const measured = await new Promise<number>((resolve) => {
    execFile("du", ["-s", "--block-size=1", root], (_, stdout) => resolve(Number.parseInt(stdout, 10)));
  });
  expect(Math.abs(sum - measured)).toBeLessThan(1 << 20);
});

test("verify finds a damaged layer, nothing is made from it, repair mends it", async () => {
  const { root } = stage.daemon.scratch;
  const layer = join(root, "s/l", readdirSync(join(root, "s/l"))[0] as string);
  expect(await berth("image", "verify", "--full")).not.toContain("DAMAGED");
  harmLayer(layer, "probe");
  expect(await tryBerth("image", "verify")).toMatchObject({
    code: 1,
    stdout: expect.stringContaining(isImage(layer) ? "size" : '"probe"'),
  });
  const pod = await stage.runPod("damaged");
  await expect(stage.run(pod, "c", PROBE, ["/probe", "sleep"])).rejects.toMatchObject({
    details: expect.stringContaining("berth image repair"),
  });
  expect(await berth("image", "repair")).toContain("repaired");
  await stage.run(pod, "c", PROBE, ["/probe", "sleep"]);
  await stage.daemon.ask("removePodSandbox", { podSandboxId: pod });
});

test("a database that cannot be read is set aside: images are there, pods can be made", async () => {
  const { root } = stage.daemon.scratch;
  const before = await berth("images", "--no-trunc");
  await stage.daemon.stop("SIGKILL");
  // What is in the log of the database would make it whole again.
  rmSync(join(root, "berth.db-wal"));
  writeFileSync(join(root, "berth.db"), Buffer.alloc(16_384, "x"));
  await stage.daemon.start();
  expect(await berth("images", "--no-trunc")).toBe(before);
  const [lost = ""] = readdirSync(join(root, "lost"));
  expect(readFileSync(join(root, "lost", lost, "berth.db")).equals(Buffer.alloc(16_384, "x"))).toBe(true);
  const pod = await stage.runPod("after");
  await stage.run(pod, "c", PROBE, ["/probe", "sleep"]);
  await stage.daemon.ask("removePodSandbox", { podSandboxId: pod });
});

test("the check after the start finds what a power cut left empty", async () => {
  const { root } = stage.daemon.scratch;
  await stage.daemon.stop("SIGKILL");
  harmLayer(join(root, "s/l", readdirSync(join(root, "s/l"))[0] as string), "probe");
  await stage.daemon.start();
  const status = () => stage.daemon.ask<{ image?: object }>("imageStatus", { image: { image: PROBE } });
  while ((await status()).image != null) await sleep(20);
  // As the kubelet does it.
  await stage.daemon.ask("pullImage", { image: { image: PROBE } });
  expect((await status()).image).not.toBeNull();
});
