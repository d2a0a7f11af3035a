// Every command of crictl that is not in crictl.test.ts, and what it prints. The streaming commands have
// tests of their own.

import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { makeBusyboxImage } from "../images/recipes.ts";
import { LOGIN, startRegistry, type TestRegistry } from "../images/registry.ts";
import type { Daemon } from "./daemon.ts";
import { CrictlFiles } from "./support/crictl-files.ts";
import { BUSYBOX, NGINX, Stage } from "./support/stage.ts";

let stage: Stage;
let daemon: Daemon;
let files: CrictlFiles;
/** Asks for a user and a password. */
let locked: TestRegistry;
let secret: string;

beforeAll(async () => {
  locked = await startRegistry({ login: true });
  secret = await locked.push(await makeBusyboxImage(), "test/secret:1");
  stage = await Stage.make([BUSYBOX], [NGINX]);
  daemon = stage.daemon;
  files = new CrictlFiles(daemon.scratch);
});
afterAll(async () => {
  await stage?.remove();
  await locked?.stop();
});

/** crictl knows a container's namespace by the label that the kubelet sets. */
const LABELS = { app: "x", "io.kubernetes.pod.namespace": "default" };

const crictl = (...args: string[]) => daemon.crictl(...args);
const json = async (verb: string, ...args: string[]) => JSON.parse(await crictl(verb, "-o", "json", ...args));
const words = (text: string) => text.trim().split(/\s+/);

/** What crictl says when it fails; fails when it does not. */
async function complaint(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await daemon.tryCrictl(...args);
  expect(code, `crictl ${args.join(" ")}: ${stdout}`).not.toBe(0);
  return stderr;
}

describe("the runtime", () => {
  test("version shows all four parts, and crictl takes the API for v1", async () => {
    const lines = (await crictl("version")).split("\n").map(words);
    expect(lines.map(([name]) => name)).toEqual([
      "Version:",
      "RuntimeName:",
      "RuntimeVersion:",
      "RuntimeApiVersion:",
    ]);
    expect(lines[1]?.[1]).toBe("berth");
    expect(lines[2]?.[1]).toMatch(/^\d+\.\d+\.\d+/);
    expect(lines[3]?.[1]).toBe("v1");
  });

  test("info shows conditions, handlers, features and the configuration", async () => {
    const { status, config, runtimeHandlers, features } = await json("info");
    expect(
      status.conditions.map(({ type, status }: { type: string; status: boolean }) => [type, status]),
    ).toEqual([
      ["RuntimeReady", true],
      ["NetworkReady", true],
    ]);
    // Clients look features up by the name of the handler that they use, which by default is "".
    const byName = new Map(
      runtimeHandlers.map((one: { name?: string; features?: object }) => [one.name ?? "", one.features]),
    );
    expect(byName.get("")).toMatchObject({ recursive_read_only_mounts: true });
    expect(byName.get("")).toEqual(byName.get("native"));
    expect(features.supplemental_groups_policy).toBe(true);
    expect(config.stateDir).toBe(daemon.scratch.state);
  });

  test("runtime-config shows the cgroup driver", async () => {
    expect((await crictl("runtime-config")).toLowerCase()).toContain("cgroupfs");
  });

  test("update-runtime-config takes the node's pod CIDRs", async () => {
    await crictl("update-runtime-config", "--pod-cidr", "10.1.2.0/24,fd00::/64");
    expect(await complaint("update-runtime-config", "--pod-cidr", "10.1.2.0/99")).toContain("10.1.2.0/99");
  });
});

describe("pods", () => {
  let web: string;
  let db: string;
  beforeAll(async () => {
    web = await crictl(
      "runp",
      files.pod("web", { labels: { tier: "front" }, annotations: { "a/b": "c d" } }),
    );
    db = await crictl("runp", "--runtime", "native", files.pod("db", { labels: { tier: "back" } }));
  });
  afterAll(() => crictl("rmp", "-f", web, db));

  test("pods selects by id, name, namespace, label and state", async () => {
    const only = async (...args: string[]) => (await crictl("pods", "-q", ...args)).split("\n").sort();
    expect(await only()).toEqual([web, db].sort());
    expect(await only("--id", web.slice(0, 13))).toEqual([web]);
    expect(await only("--name", "^d")).toEqual([db]);
    expect(await only("--namespace", "^other$")).toEqual([""]);
    expect(await only("--label", "tier=front")).toEqual([web]);
    expect(await only("--label", "tier=front", "--state", "notready")).toEqual([""]);
    expect(await only("--latest")).toEqual([db]);
    const { items } = await json("pods", "--label", "tier=back");
    expect(items).toMatchObject([
      { id: db, state: "SANDBOX_READY", runtimeHandler: "native", metadata: { name: "db", attempt: 0 } },
    ]);
    expect(await crictl("pods")).toMatch(/POD ID +CREATED +STATE +NAME +NAMESPACE +ATTEMPT +RUNTIME/);
  });

  test("inspectp shows labels and annotations as they were given, and details", async () => {
    const { status, info } = await json("inspectp", web);
    expect(status).toMatchObject({
      id: web,
      labels: { tier: "front" },
      annotations: { "a/b": "c d" },
      linux: { namespaces: { options: { ipc: "POD", network: "POD", pid: "POD" } } },
    });
    expect(status.network.ip).toMatch(/^10\./);
    expect(info.config.hostname).toBe("web");
    const template = "{{.status.metadata.name}}/{{.status.state}}";
    expect(await crictl("inspectp", "-o", "go-template", "--template", template, db)).toBe(
      "db/SANDBOX_READY",
    );
  });

  test("runp of a handler that there is not names those that there are", async () => {
    expect(await complaint("runp", "--runtime", "none", files.pod("lost"))).toMatch(/there is .*native/);
    expect(await crictl("pods", "-q", "--name", "lost")).toBe("");
  });

  test("stopp and rmp may be repeated; a stopped pod takes no container", async () => {
    const id = await crictl("runp", files.pod("brief"));
    await crictl("stopp", id);
    await crictl("stopp", id);
    const container = files.container("late", BUSYBOX, { command: ["sleep", "1"] });
    expect(await complaint("create", "--no-pull", id, container, files.pod("brief"))).toContain("NOTREADY");
    await crictl("rmp", id);
    expect(await crictl("pods", "-q", "--name", "brief")).toBe("");
  });
});

describe("containers", () => {
  let podId: string;
  let id: string;
  const script = "echo out; echo err >&2; trap 'exit 7' TERM; while :; do sleep 0.1; done";
  beforeAll(async () => {
    podId = await crictl("runp", files.pod("pod"));
  });
  afterAll(() => crictl("rmp", "-f", podId));
  beforeEach(async () => {
    await crictl("rm", "-f", "-a");
    const more = { command: ["sh", "-c", script], labels: LABELS, annotations: { n: "ü" } };
    id = await crictl("create", podId, files.container("one", BUSYBOX, more), files.pod("pod"));
    await crictl("start", id);
  });

  test("ps selects by id, name, image, pod, label and state", async () => {
    const only = async (...args: string[]) => await crictl("ps", "-q", ...args);
    for (const filter of [
      ["--id", id.slice(0, 13)],
      ["--name", "^on"],
      ["--image", BUSYBOX],
      ["--pod", podId],
      ["--label", "app=x"],
      ["--state", "Running"],
      ["--namespace", "default"],
      ["--latest"],
    ]) {
      expect(await only(...filter), filter.join(" ")).toBe(id);
    }
    expect(await only("--label", "app=y")).toBe("");
    expect(await only("--state", "Exited")).toBe("");
    const { containers } = await json("ps");
    expect(containers).toMatchObject([
      { id, podSandboxId: podId, state: "CONTAINER_RUNNING", labels: LABELS, annotations: { n: "ü" } },
    ]);
    expect(containers[0].imageId).toMatch(/^sha256:[0-9a-f]{64}$/);
    const table = await crictl("ps", "--resolve-image-path");
    expect(table).toContain("Running");
    expect(table).toContain("busybox:1.29-2");
  });

  test("inspect shows the status, with details unless it is quiet", async () => {
    const { status, info } = await json("inspect", id);
    expect(status).toMatchObject({
      id,
      state: "CONTAINER_RUNNING",
      reason: "",
      mounts: [],
      logPath: join(daemon.scratch.folder, "logs/pod/one.log"),
      user: { linux: { uid: "0", gid: "0", supplementalGroups: ["0"] } },
    });
    expect(Number(info.pid)).toBeGreaterThan(1);
    expect(info.sandboxID).toBe(podId);
    expect((await json("inspect", "-q", id)).info).toBeUndefined();
    expect(await crictl("inspect", "-o", "table", id)).toContain("CONTAINER_RUNNING");
  });

  test("exec --sync shows both streams, tells the exit code and ends what is late", async () => {
    const ran = await daemon.tryCrictl("exec", "--sync", id, "sh", "-c", "echo a; echo b >&2");
    // crictl itself joins them again, in this order.
    expect(ran).toEqual({ code: 0, stdout: "a\n\nb\n\n", stderr: "" });
    expect(await complaint("exec", "--sync", id, "sh", "-c", "exit 3")).toContain("exited with 3");
    expect(await complaint("exec", "--sync", "--timeout", "1", id, "sleep", "100")).toContain("timed out");
    const look = "pgrep -f 'sleep 10[0]' || echo none";
    expect(await crictl("exec", "--sync", id, "sh", "-c", look)).toBe("none");
  });

  test("logs shows either stream, the tail, and time stamps", async () => {
    await expect.poll(() => crictl("logs", id)).toContain("out");
    expect((await daemon.tryCrictl("logs", id)).stderr).toBe("err\n");
    expect((await daemon.tryCrictl("logs", "-s", "stdout", id)).stderr).toBe("");
    expect(await crictl("logs", "--timestamps", id)).toMatch(
      /^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d) out$/,
    );
    expect(await crictl("logs", "--tail", "0", id)).toBe("");
  });

  test("logs --reopen makes a new file after a rotation", async () => {
    const path = join(daemon.scratch.folder, "logs/pod/one.log");
    await expect.poll(() => readFileSync(path, "utf8")).toContain("err");
    renameSync(path, `${path}.1`);
    const old = readFileSync(`${path}.1`, "utf8");
    await crictl("logs", "--reopen", id);
    expect(readFileSync(path, "utf8")).toBe("");
    expect(readFileSync(`${path}.1`, "utf8")).toBe(old);
    await crictl("stop", id);
    expect(await complaint("logs", "--reopen", id)).toContain("EXITED");
  });

  test("stop sends the stop signal first, and may be repeated", async () => {
    await expect.poll(() => crictl("logs", id)).toContain("out");
    await crictl("stop", "--timeout", "30", id);
    await crictl("stop", id);
    expect((await json("inspect", id)).status).toMatchObject({ exitCode: 7, reason: "Error" });
    expect(await crictl("ps", "-q")).toBe("");
    expect(await crictl("ps", "-a", "-q")).toBe(id);
    expect(await complaint("start", id)).toContain("EXITED");
  });

  test("rm refuses what runs unless it is forced, and takes several", async () => {
    expect(await complaint("rm", id)).toContain("running");
    await crictl("rm", "-f", id);
    expect((await complaint("inspect", id)).toLowerCase()).toContain("notfound");
  });

  test("run makes a pod with a container in it", async () => {
    const container = files.container("quick", BUSYBOX, { command: ["sleep", "1000"] });
    const quick = await crictl("run", "--no-pull", container, files.pod("quick"));
    const { status, info } = await json("inspect", quick);
    expect(status.state).toBe("CONTAINER_RUNNING");
    await crictl("rmp", "-f", info.sandboxID);
  });

  test("checkpoint is not there yet, and says so", async () => {
    const target = join(daemon.scratch.folder, "checkpoint.tar");
    expect(await complaint("checkpoint", "--export", target, id)).toContain("Unimplemented");
  });
});

describe("images", () => {
  test("images shows names, id and size, and filters by reference", async () => {
    const table = await crictl("images", "--digests");
    expect(table).toMatch(/IMAGE +TAG +DIGEST +IMAGE ID +SIZE/);
    const { images } = await json("images", BUSYBOX);
    expect(images).toHaveLength(1);
    expect(images[0]).toMatchObject({ repoTags: [BUSYBOX], pinned: false });
    expect(Number(images[0].size)).toBeGreaterThan(100_000);
    expect(images[0].repoDigests[0]).toMatch(/^registry\.k8s\.io\/e2e-test-images\/busybox@sha256:/);
    expect((await json("images", NGINX)).images).toEqual([]);
  });

  test("inspecti takes the id, the tag and the digest", async () => {
    const [{ id, repoDigests }] = (await json("images", BUSYBOX)).images;
    for (const name of [id, id.slice("sha256:".length), BUSYBOX, repoDigests[0]]) {
      const { status, info } = await json("inspecti", name);
      expect(status.id, name).toBe(id);
      expect(info.imageSpec.rootfs.diff_ids).toHaveLength(1);
    }
    expect(await complaint("inspecti", "registry.k8s.io/none:1")).toContain("no such image");
  });

  test("pull uses the credentials it is given, and only the right ones do", async () => {
    const creds = `${LOGIN.name}:${LOGIN.password}`;
    expect(await complaint("pull", secret)).toMatch(/Unauthenticated|unauthorized|credentials/i);
    expect(await complaint("pull", "--creds", `${LOGIN.name}:wrong`, secret)).not.toContain("wrong");
    expect(await crictl("pull", "--creds", creds, secret)).toContain("Image is up to date");
    // The same bytes under two names are one image: removing it removes both.
    const [{ id, repoTags }] = (await json("images", secret)).images;
    expect(repoTags.sort()).toEqual([BUSYBOX, secret].sort());
    await crictl("rmi", id);
    expect(await crictl("images", "-q")).toBe("");
    const auth = Buffer.from(creds).toString("base64");
    expect(await crictl("pull", "--auth", auth, secret)).toContain("Image is up to date");
    expect(readFileSync(daemon.scratch.log, "utf8")).not.toContain(LOGIN.password);
    await crictl("rmi", secret);
  });

  test("rmi --prune removes what no container uses, --all what is left", async () => {
    await crictl("pull", BUSYBOX);
    await crictl("pull", NGINX);
    const container = files.container("user", BUSYBOX, { command: ["sleep", "1000"] });
    await crictl("run", "--no-pull", container, files.pod("user"));
    await crictl("rmi", "--prune");
    expect((await json("images")).images.map(({ repoTags }: { repoTags: string[] }) => repoTags[0])).toEqual([
      BUSYBOX,
    ]);
    await crictl("rmp", "-f", "-a");
    await crictl("rmi", "--all");
    expect(await crictl("images", "-q")).toBe("");
    expect(await complaint("rmi", BUSYBOX)).toContain("no such image");
    await crictl("pull", BUSYBOX);
  });

  test("imagefsinfo shows where images lie and what they take", async () => {
    const { imageFilesystems, containerFilesystems } = (await json("imagefsinfo")).status;
    for (const usage of [...imageFilesystems, ...containerFilesystems]) {
      expect(usage.fsId.mountpoint).toContain(daemon.scratch.root);
      expect(Number(usage.timestamp)).toBeGreaterThan(0);
    }
    expect(Number(imageFilesystems[0].usedBytes.value)).toBeGreaterThan(100_000);
    expect(Number(imageFilesystems[0].inodesUsed.value)).toBeGreaterThan(1);
  });
});

describe("crictl's own", () => {
  test("config and completion need no runtime", async () => {
    const path = join(daemon.scratch.folder, "own.yaml");
    writeFileSync(path, "");
    await crictl("--config", path, "config", "--set", "timeout=7");
    expect(readFileSync(path, "utf8")).toContain("timeout: 7");
    expect(await crictl("completion", "bash")).toContain("crictl");
  });
});
