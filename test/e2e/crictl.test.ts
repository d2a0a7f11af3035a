// The way of an image and a pod as an administrator goes it: with crictl alone.

import { afterAll, beforeAll, expect, test } from "vitest";
import { NGINX_GREETING } from "../images/recipes.ts";
import type { Daemon } from "./daemon.ts";
import { CrictlFiles } from "./support/crictl-files.ts";
import { BUSYBOX, NGINX, Stage } from "./support/stage.ts";

let stage: Stage;
let daemon: Daemon;
let files: CrictlFiles;
beforeAll(async () => {
  stage = await Stage.make([], [BUSYBOX, NGINX]);
  daemon = stage.daemon;
  files = new CrictlFiles(daemon.scratch);
});
afterAll(() => stage.remove());

const inspect = async (verb: string, id: string) => JSON.parse(await daemon.crictl(verb, id));

test("version and info tell that runtime and network are ready", async () => {
  expect(await daemon.crictl("version")).toMatch(/RuntimeName: +berth/);
  const { status } = JSON.parse(await daemon.crictl("info")) as {
    status: { conditions: { type: string; status: boolean }[] };
  };
  expect(status.conditions.filter((one) => one.status).map((one) => one.type)).toEqual([
    "RuntimeReady",
    "NetworkReady",
  ]);
});

test("an image is pulled through the mirror, keeps its name, runs, answers, and goes again", async () => {
  const before = daemon.inventory();
  expect(await daemon.crictl("pull", NGINX)).toContain("Image is up to date for");
  expect((await inspect("inspecti", NGINX)).status.repoTags).toEqual([NGINX]);
  expect(await daemon.crictl("images", "-q")).toMatch(/^sha256:[0-9a-f]{64}$/);

  const pod = files.pod("web");
  const podId = await daemon.crictl("runp", pod);
  const { ip } = (await inspect("inspectp", podId)).status.network;
  const id = await daemon.crictl("create", podId, files.container("nginx", NGINX), pod);
  expect(await daemon.crictl("ps", "-a")).toContain("Created");
  await daemon.crictl("start", id);
  expect((await inspect("inspect", id)).status).toMatchObject({
    state: "CONTAINER_RUNNING",
    image: { image: NGINX },
    metadata: { name: "nginx" },
  });
  await expect.poll(() => get(`http://${ip}/`)).toBe(NGINX_GREETING);

  expect(await daemon.crictl("exec", "--sync", id, "cat", "/usr/share/nginx/html/index.html")).toBe(
    NGINX_GREETING.trim(),
  );
  const failed = await daemon.tryCrictl("exec", "--sync", id, "sh", "-c", "echo no >&2; exit 3");
  expect(failed.stderr).toContain("3");
  await expect.poll(() => daemon.crictl("logs", id)).toContain('"GET / HTTP/1.1" 200');

  await daemon.crictl("stop", "--timeout", "5", id);
  expect((await inspect("inspect", id)).status).toMatchObject({ state: "CONTAINER_EXITED", exitCode: 0 });
  await daemon.crictl("rm", id);
  expect(await daemon.crictl("ps", "-a", "-q")).toBe("");
  expect((await daemon.tryCrictl("rmi", NGINX)).code).toBe(0);
  await daemon.crictl("stopp", podId);
  expect(await daemon.crictl("pods", "--state", "notready", "-q")).toBe(podId);
  await daemon.crictl("rmp", podId);
  expect(await daemon.crictl("pods", "-q")).toBe("");
  expect(await daemon.crictl("images", "-q")).toBe("");
  expect(await daemon.leaks(before)).toEqual([]);
});

async function get(url: string): Promise<string> {
  try {
    return await (await fetch(url)).text();
  } catch (error) {
    return String(error);
  }
}

test("pods and containers run side by side, and rmp -f -a removes them all", async () => {
  await daemon.crictl("pull", BUSYBOX);
  const before = daemon.inventory();
  const container = files.container("sleeper", BUSYBOX, { command: ["sleep", "1000"] });
  const ids = await Promise.all(
    ["a", "b", "c"].map((name) => daemon.crictl("run", container, files.pod(name))),
  );
  expect(new Set(ids).size).toBe(3);
  expect((await daemon.crictl("ps", "-q", "--state", "running")).split("\n").sort()).toEqual([...ids].sort());
  const addresses = (await daemon.crictl("pods", "-q")).split("\n").map(async (id) => {
    return (await inspect("inspectp", id)).status.network.ip as string;
  });
  expect(new Set(await Promise.all(addresses)).size).toBe(3);
  // An image in use stays, also when it is containers that have ended.
  const inUse = (state: string) => new RegExp(`(?:"[0-9a-f]{64}" \\(${state}\\),? ){3}use it; remove these`);
  const rmi = async () => [
    // It quotes what it quotes.
    (await daemon.tryCrictl("rmi", BUSYBOX)).stderr.replaceAll("\\", ""),
    (await daemon.tryBerth("rmi", BUSYBOX)).stderr,
  ];
  for (const answer of await rmi()) {
    expect(answer).toMatch(inUse("running"));
    expect(answer).toContain(`remove image "${BUSYBOX}"`);
  }
  await daemon.crictl("stop", "--timeout", "0", ...ids);
  for (const answer of await rmi()) expect(answer).toMatch(inUse("exited"));
  await daemon.crictl("rmp", "-f", "-a");
  expect(await daemon.leaks(before)).toEqual([]);
});

test("what is not there has the code that clients look for", async () => {
  const missing = "0".repeat(64);
  expect((await daemon.tryCrictl("inspect", missing)).stderr).toContain("NotFound");
  expect((await daemon.tryCrictl("inspectp", missing)).stderr).toContain("NotFound");
  expect((await daemon.tryCrictl("pull", `${stage.registry.host}/none:1`)).stderr).toContain("NotFound");
  await daemon.crictl("rm", missing).catch((error: Error) => expect(error.message).toContain("NotFound"));
});
