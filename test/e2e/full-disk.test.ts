// The disk is full: the call in hand fails and says so, nothing stays half done, and when there is space
// again everything works, without a restart.

import { execFileSync, spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statfsSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { makeBusyboxImage, makeProbeImage } from "../images/recipes.ts";
import { startRegistry, type TestRegistry } from "../images/registry.ts";
import { Daemon } from "./daemon.ts";
import { hostForms } from "./images/support/deps.ts";

const MIB = 1 << 20;
const DISK_MIB = 24;
/** Less than the big image needs. */
const LEFT_MIB = 2;
const BERTH = join(import.meta.dirname, "../../out/berth.cjs");

let registry: TestRegistry;
let daemon: Daemon;
let big = "";
let small = "";
let archive = "";
beforeAll(async () => {
  registry = await startRegistry();
  const busybox = await makeBusyboxImage();
  archive = busybox.archive;
  big = await registry.push(busybox, "big:1");
  small = await registry.push(await makeProbeImage(), "small:1");
});
afterAll(() => registry.stop());

/** The kernel mounts no image that lies on a tmpfs: layers are directories there. */
const disks = {
  tmpfs: (folder: string) => {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${DISK_MIB}m`, "tmpfs", folder]);
  },
  ext4: (folder: string) => {
    const disk = `${folder}.disk`;
    execFileSync("truncate", ["-s", `${DISK_MIB + 8}M`, disk]);
    execFileSync("mkfs.ext4", ["-q", "-m", "0", "-b", "4096", disk]);
    execFileSync("mount", ["-o", "loop", disk, folder]);
  },
};

function free(): number {
  const { bavail, bsize } = statfsSync(daemon.scratch.root);
  return bavail * bsize;
}

/** Fills the disk but for so many bytes. Returns how to undo it. */
function fill(left = 0): () => void {
  const path = join(daemon.scratch.root, "ballast");
  const file = openSync(path, "w");
  try {
    for (let rest = free() - left; rest > 0; rest -= MIB) writeSync(file, Buffer.alloc(Math.min(rest, MIB)));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  } finally {
    closeSync(file);
  }
  return () => rmSync(path);
}

const pull = (image: string) => daemon.ask("pullImage", { image: { image } });

describe.each(["tmpfs", "ext4"] as const)("a disk of %s", (kind) => {
  beforeAll(async () => {
    if (kind === "ext4" && !existsSync("/dev/loop-control")) return;
    daemon = new Daemon();
    mkdirSync(daemon.scratch.root);
    disks[kind](daemon.scratch.root);
    await daemon.start();
  });
  afterAll(async () => {
    // Removing the scratch directories unmounts the disk.
    await daemon?.remove();
  });
  beforeEach((context) => {
    context.skip(kind === "ext4" && !existsSync("/dev/loop-control"), "this machine has no loop devices");
  });

  test("a pull that does not fit fails, leaves nothing, and works later", async () => {
    await pull(small);
    const isImage = kind === "ext4" && hostForms.form === "erofs";
    expect(await daemon.berth("info")).toContain(isImage ? "erofs (" : "directory (");
    const before = daemon.inventory();
    const release = fill(LEFT_MIB * MIB);
    await expect(pull(big)).rejects.toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: expect.stringMatching(/ENOSPC|no space|full/),
    });
    expect(await daemon.leaks(before)).toEqual([]);
    release();
    await pull(big);
  });

  test("a load that does not fit fails, gives the room back, and works later", async () => {
    await daemon.ask("removeImage", { image: { image: big } });
    const load = () =>
      spawnSync(process.execPath, [BERTH, "-H", daemon.scratch.socket, "load", "-i", archive], {
        encoding: "utf8",
      });
    const before = daemon.inventory();
    const room = free();
    const release = fill(LEFT_MIB * MIB);
    const failed = load();
    expect(failed.status).toBe(1);
    expect(failed.stderr).toMatch(/ENOSPC|no space|full/);
    expect(await daemon.leaks(before)).toEqual([]);
    release();
    expect(Math.abs(free() - room)).toBeLessThan(MIB);
    expect(load()).toMatchObject({ status: 0, stderr: "" });
    await pull(big);
  });

  test("an image is removed on a disk that is full to the last byte", async () => {
    const release = fill();
    try {
      await daemon.ask("removeImage", { image: { image: big } });
      const { images } = await daemon.ask<{ images: object[] }>("listImages", {});
      expect(images).toHaveLength(1);
    } finally {
      release();
    }
    await pull(big);
  });

  test("pods and containers fail with a reason on a full disk, and work later", async () => {
    const before = daemon.inventory();
    const release = fill();
    const config = { metadata: { name: "p", namespace: "n", uid: "u", attempt: 0 } };
    const run = () => daemon.ask<{ podSandboxId: string }>("runPodSandbox", { config });
    const answer = await run().catch((error: { code: number; details: string }) => error);
    // The database has room in its log now and then; what it says no to, it says clearly.
    if ("code" in answer) {
      expect(answer.code).toBe(status.RESOURCE_EXHAUSTED);
      expect(answer.details).toMatch(/full|ENOSPC|no space/);
    }
    release();
    const { podSandboxId } = await run();
    const request = { podSandboxId, config: { metadata: { name: "c" }, image: { image: small } } };
    const { containerId } = await daemon.ask<{ containerId: string }>("createContainer", request);
    await daemon.ask("startContainer", { containerId });
    await daemon.ask("removePodSandbox", { podSandboxId });
    expect(await daemon.leaks(before)).toEqual([]);
  });

  test("a daemon starts on a full disk, and shows what there is", async () => {
    const release = fill();
    try {
      await daemon.restart();
      const { images } = await daemon.ask<{ images: object[] }>("listImages", {});
      expect(images).toHaveLength(2);
    } finally {
      release();
    }
  });
});

test("a load stops before the disk is full", (context) => {
  context.skip(!existsSync("/dev/loop-control"), "this machine has no loop devices");
  const folder = mkdtempSync("/tmp/berth-e2e-load-");
  const program = `
    const { makeDeps } = await import(process.argv[1]);
    const { loadImage } = await import(process.argv[2]);
    const { backgroundCall } = await import(process.argv[3]);
    const { tarHeader } = await import(process.argv[4]);
    const deps = makeDeps(process.argv[5] + "/mount/berth", {});
    async function* archive() {
      yield tarHeader({ path: "big" }, 300 << 20);
      for (;;) yield Buffer.alloc(1 << 20);
    }
    const loading = loadImage(deps, backgroundCall(), archive());
    console.log(await loading.catch(({ code, message }) => code + message));
    process.exit();`;
  const script = `cd "$1"; truncate -s 400M disk; mkfs.ext4 -q -m 0 disk
    mkdir mount; mount -o loop disk mount
    fallocate -l 340M mount/ballast; shift; exec "$@"`;
  try {
    const files = [
      "images/support/deps.ts",
      "../../src/images/load-image.ts",
      "../../src/lib/call.ts",
      "../kernel/layers/tar-builder.ts",
    ].map((name) => join(import.meta.dirname, name));
    const node = [process.execPath, "--input-type=module", "-e", program, ...files, folder];
    const unshare = ["-m", "--propagation", "private", "sh", "-ec", script, "sh", folder, ...node];
    const printed = execFileSync("unshare", unshare, { encoding: "utf8" });
    expect(printed).toMatch(/^RESOURCE_EXHAUSTED.*is nearly full "\S*\/mount\/berth\//);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
