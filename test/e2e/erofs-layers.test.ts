// Containers whose layers are EROFS images, and of layers of both forms: native and by crun and runc, with
// and without a user namespace.

import { execFileSync } from "node:child_process";
import { lstatSync, readdirSync, readFileSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { NamespaceMode } from "../../src/gen/runtime/v1/api.ts";
import { makeImage } from "../images/layout.ts";
import { busyboxTree } from "../images/recipes.ts";
import { Tree } from "../images/tree.ts";
import type { Daemon } from "./daemon.ts";
import { mountLinesOf } from "./support/leaks.ts";
import { Stage } from "./support/stage.ts";

const [BASE, BOTH] = ["berth.test/base:1", "berth.test/both:1"];
const BIG = "berth.test/big:1";
const BIG_BYTES = 128 << 20;
const EROFS_MAGIC = 0xe0f5_e1e2;
const RANGE = [{ containerId: 0, hostId: 500_000, length: 65_536 }];
const USERNS = {
  linux: {
    securityContext: {
      namespaceOptions: { usernsOptions: { mode: NamespaceMode.POD, uids: RANGE, gids: RANGE } },
    },
  },
};
interface Kind {
  readonly kind: string;
  readonly handler: string;
  readonly changes: Partial<typeof USERNS>;
}

const KINDS = ["", "crun", "runc"].flatMap((handler): Kind[] => [
  { kind: `${handler || "native"}`, handler, changes: {} },
  { kind: `${handler || "native"} in a user namespace`, handler, changes: USERNS },
]);
const SLEEP = ["sleep", "1000"];
const TOML = ["crun", "runc"].map((name) => `[handlers.${name}]\npath = "/usr/bin/${name}"`).join("\n");
const format = (form: string) => `[images]\nlayer_format = "${form}"\n`;

function isErofs(path: string): boolean {
  try {
    return statfsSync(path).type === EROFS_MAGIC;
  } catch {
    // Closed meanwhile, or nothing that lies on a file system.
    return false;
  }
}

function owned(tree: Tree, path: string, uid: number, gid: number): Tree {
  tree.entries.push({ type: "file", path, mode: 0o640, uid, gid, data: Buffer.from("owned\n") });
  return tree;
}

function baseTree(): Tree {
  const tree = busyboxTree()
    .file("etc/passwd", "root:x:0:0::/root:/bin/sh\nlower:x:1234:77::/:/bin/sh\n")
    .file("etc/group", "root:x:0:\n")
    .file("data/kept", "base\n")
    .file("data/gone", "base\n")
    .file("data/both", "base\n")
    .file("dir/old", "base\n")
    .directory("tmp", 0o1777);
  return owned(tree, "data/base-owned", 1000, 1001);
}

function topTree(): Tree {
  const tree = new Tree()
    .file("etc/passwd", "root:x:0:0::/root:/bin/sh\nupper:x:4321:88::/:/bin/sh\n")
    .file("data/.wh.gone", "")
    .file("data/both", "top\n")
    .file("dir/.wh..wh..opq", "")
    .file("dir/new", "top\n");
  return owned(tree, "data/top-owned", 2000, 2001);
}

const baseImage = () => makeImage({ name: "erofs-base", reference: BASE, layers: [baseTree()], config: {} });
const bothImage = () =>
  makeImage({ name: "erofs-both", reference: BOTH, layers: [baseTree(), topTree()], config: {} });

const hostMounts = ({ scratch }: Daemon) => [
  ...mountLinesOf(scratch),
  ...readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.includes(" erofs ")),
];

/** Of new layers, from the next start on. */
async function reconfigure(daemon: Daemon, form: string): Promise<void> {
  const { config } = daemon.scratch;
  const text = readFileSync(config, "utf8").replace(/\[images\]\nlayer_format = .*\n/, "");
  await daemon.stop();
  writeFileSync(config, `${text}${format(form)}`);
  await daemon.start();
}

/** A daemon with both images, whose layers have these forms; what its tests made is gone after each. */
function useStage(baseForm: string, topForm: string): { stage: Stage } {
  const of = {} as { stage: Stage };
  let before: string[];
  let mounts: string[];
  beforeAll(async () => {
    of.stage = await Stage.make([], [], { toml: `${TOML}\n${format(baseForm)}` });
    const { daemon } = of.stage;
    await daemon.berth("load", "-i", (await baseImage()).archive);
    await reconfigure(daemon, topForm);
    await daemon.berth("load", "-i", (await bothImage()).archive);
  });
  afterAll(() => of.stage?.remove());
  beforeEach(() => {
    before = of.stage.daemon.inventory();
    mounts = hostMounts(of.stage.daemon);
  });
  afterEach(async () => {
    const { stage } = of;
    await stage.removePods();
    expect(hostMounts(stage.daemon)).toEqual(mounts);
    expect(await stage.daemon.leaks(before)).toEqual([]);
  });
  return of;
}

function testKind(of: { stage: Stage }, { handler, changes }: Kind): void {
  async function run(image: string, more: object = {}): Promise<string> {
    const pod = await of.stage.runPod("pod", changes, handler);
    return await of.stage.run(pod, "c", image, SLEEP, { ...changes, ...more });
  }
  const sh = async (id: string, script: string) => (await of.stage.exec(id, "sh", "-c", script)).out;

  test("one tree, with whiteouts, opaque directories and owners", async () => {
    const id = await run(BOTH);
    const script = "cd /data; ls; cat kept both; ls /dir; stat -c '%n %u:%g %a' *owned";
    expect(await sh(id, script)).toBe(
      "base-owned\nboth\nkept\ntop-owned\nbase\ntop\nnew\n" +
        "base-owned 1000:1001 640\ntop-owned 2000:2001 640\n",
    );
    const again = "echo x > /data/gone; echo x > /dir/old; cat /data/gone /dir/old; ls /dir";
    expect(await sh(id, again)).toBe("x\nx\nnew\nold\n");
  });

  test("one device for all files, and inode numbers that stay", async () => {
    const id = await run(BOTH);
    const places = "/bin /data /dir /etc/passwd";
    const devices = await sh(id, `touch /data/mine; find ${places} -exec stat -c %d {} + | sort -u`);
    expect(devices.trim().split("\n")).toHaveLength(1);
    const files = "/data/kept /data/both /data/base-owned /data/top-owned /etc/group";
    const inodes = await sh(id, `stat -c %i ${files}`);
    expect(new Set(inodes.trim().split("\n")).size).toBe(5);
    const change = `for f in ${files}; do echo more >> $f; chmod 600 $f; done`;
    expect(await sh(id, `${change}; stat -c %i ${files}`)).toBe(inodes);
    expect(await sh(id, "cat /data/kept /data/both")).toBe("base\nmore\ntop\nmore\n");
  });

  test("users of exec and of the container come from the image's files", async () => {
    const security = { ...changes.linux?.securityContext, runAsUsername: "upper" };
    const id = await run(BOTH, { linux: { securityContext: security } });
    expect(await sh(id, "id -u; id -g")).toBe("4321\n88\n");
  });

  test("an image as a volume, whole and in parts", async () => {
    const mounts = ["", "data", "data/both"].map((imageSubPath, index) => ({
      containerPath: `/img${index}`,
      image: { image: BOTH },
      imageSubPath,
      readonly: true,
    }));
    const id = await run(BASE, { mounts });
    expect(await sh(id, "ls /img0/dir /img1; cat /img2")).toBe(
      "/img0/dir:\nnew\n\n/img1:\nbase-owned\nboth\nkept\ntop-owned\ntop\n",
    );
    expect(await sh(id, "stat -c %u:%g /img1/*owned; touch /img1/x 2>&1")).toMatch(
      /^1000:1001\n2000:2001\n.*Read-only/,
    );
  });
}

function testExport(of: { stage: Stage }): void {
  test("export gives what the container sees", async () => {
    const { stage } = of;
    const pod = await stage.runPod("export");
    const script = "echo new > /data/written; rm /data/kept; sleep 1000";
    const id = await stage.run(pod, "c", BOTH, ["sh", "-c", script]);
    await expect.poll(async () => (await stage.exec(id, "ls", "/data")).out).not.toContain("kept");
    const tar = join(stage.daemon.scratch.folder, "export.tar");
    await stage.daemon.berth("export", "-o", tar, id);
    const list = execFileSync("tar", ["-tf", tar], { encoding: "utf8" }).split("\n");
    const names = ["data/base-owned", "data/both", "data/top-owned", "data/written", "dir/new"];
    expect(list.filter((path) => /^(data|dir)\/./.test(path)).sort()).toEqual(names);
    expect(execFileSync("tar", ["-xOf", tar, "data/both"], { encoding: "utf8" })).toBe("top\n");
  });
}

describe.each([
  ["erofs", "erofs", KINDS],
  ["directory", "erofs", KINDS.slice(0, 2)],
  ["erofs", "directory", KINDS.slice(0, 2)],
] as const)("base: %s, top: %s", (baseForm, topForm, kinds) => {
  const of = useStage(baseForm, topForm);

  test("the layers have the forms that were asked for", () => {
    const folder = join(of.stage.daemon.scratch.root, "s/l");
    const forms = readdirSync(folder)
      .sort()
      .map((name) => (lstatSync(join(folder, name)).isFile() ? "erofs" : "directory"));
    expect(forms).toEqual([baseForm, topForm]);
  });

  describe.each(kinds)("$kind", (kind) => testKind(of, kind));
  testExport(of);

  test("containers outlive the daemon, and the next one makes more", async () => {
    const { stage } = of;
    const pod = await stage.runPod("lasting");
    const first = await stage.run(pod, "first", BOTH, SLEEP);
    await stage.daemon.restart();
    expect((await stage.exec(first, "cat", "/data/both", "/data/kept")).out).toBe("top\nbase\n");
    const second = await stage.run(pod, "second", BOTH, SLEEP);
    expect((await stage.exec(second, "cat", "/data/both", "/data/kept")).out).toBe("top\nbase\n");
  });
});

describe("what is kept, and given back", () => {
  let stage: Stage;
  let daemon: Daemon;
  beforeAll(async () => {
    stage = await Stage.make([], [], { toml: format("erofs") });
    daemon = stage.daemon;
  });
  afterAll(() => stage?.remove());

  const folder = () => `/proc/${daemon.pid}/fd`;
  /** The daemon's descriptors of mounted layers. */
  const mounted = () => readdirSync(folder()).filter((fd) => isErofs(join(folder(), fd)));
  const room = () => {
    const { bfree, bsize } = statfsSync(daemon.scratch.root);
    return bfree * bsize;
  };

  test("one mount per layer for all containers, gone with the image", async () => {
    const layers = [baseTree().file("big", Buffer.alloc(BIG_BYTES)), topTree()];
    const big = await makeImage({ name: "erofs-big", reference: BIG, layers, config: {} });
    await daemon.berth("load", "-i", big.archive);
    const pod = await stage.runPod("shared");
    const ids = await Promise.all(["a", "b", "c", "d"].map((name) => stage.run(pod, name, BIG, SLEEP)));
    const kept = mounted();
    expect(kept).toHaveLength(2);
    for (const id of ids) expect((await stage.exec(id, "cat", "/data/both")).out).toBe("top\n");
    await stage.removePods();
    expect(mounted()).toEqual(kept);
    const before = room();
    await daemon.ask("removeImage", { image: { image: BIG } });
    // At once: the file is gone from the directory and from the kernel.
    expect(room() - before).toBeGreaterThan(0.75 * BIG_BYTES);
    expect(mounted()).toEqual([]);
    expect(readdirSync(join(daemon.scratch.root, "s/l"))).toEqual([]);
  });

  test("a layer that was removed behind the daemon's back is told of", async () => {
    await daemon.berth("load", "-i", (await bothImage()).archive);
    const layers = join(daemon.scratch.root, "s/l");
    const [name = ""] = readdirSync(layers);
    execFileSync("mv", [join(layers, name), join(daemon.scratch.folder, "away")]);
    const pod = await stage.runPod("missing");
    await expect(stage.create(pod, "c", BOTH, SLEEP)).rejects.toMatchObject({
      details: expect.stringMatching(
        `use layer "${join(layers, name)}": it is missing on disk; run berth image verify`,
      ),
    });
    execFileSync("mv", [join(daemon.scratch.folder, "away"), join(layers, name)]);
    await stage.run(pod, "c", BOTH, SLEEP);
    await stage.removePods();
  });
});
