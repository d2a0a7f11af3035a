// A layer as small as can be, made and mounted as real ones are: what this tells of a host holds for them.

import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pack } from "tar-stream";
import { BerthError, codeOf, messageOf } from "../lib/errors.ts";
import type { LayerKernel } from "./kernel.ts";

const LIMITS = { maxUnpackedBytes: 1 << 20, maxEntries: 8 };
/** addon/kernel/erofs_probe.h looks for these, and says what they are. */
const [NAME, CONTENT, OPAQUE, HIDDEN] = ["probe", "berth\n", "opaque", "hidden"];
const ATTRIBUTES = {
  "SCHILY.xattr.user.probe": "y",
  // VFS_CAP_REVISION_2, CAP_NET_BIND_SERVICE permitted (linux/capability.h); every byte is ASCII.
  "SCHILY.xattr.security.capability": `\0\0\0\x02\0\x04${"\0".repeat(14)}`,
};

/**
 * "" when this host can make roots of layers that are EROFS images, else the step that fails, and why.
 * Rejects when it cannot be tried: what a full disk or a lack of memory lets fail says nothing about it.
 */
export async function probeErofs(
  kernel: Pick<LayerKernel, "unpackLayer" | "removeTree">,
  tryIn: (directory: string) => Promise<void>,
  directory: string,
): Promise<string> {
  const probe = join(directory, `probe-${randomBytes(12).toString("hex")}`);
  try {
    await prepare(kernel, probe);
    await tryIn(probe);
    return "";
  } catch (error) {
    if (error instanceof Untried || codeOf(error) === "RESOURCE_EXHAUSTED") throw error;
    return messageOf(error);
  } finally {
    await kernel.removeTree(probe);
  }
}

class Untried extends BerthError {}

async function prepare(kernel: Pick<LayerKernel, "unpackLayer">, probe: string): Promise<void> {
  try {
    await mkdir(probe, { mode: 0o700 });
    const directories = [join("lower", OPAQUE), join("bare", "top"), join("bare", "bottom")];
    for (const name of directories) await mkdir(join(probe, name), { recursive: true });
    await writeFile(join(probe, "lower", OPAQUE, HIDDEN), "");
    await makeImage(kernel, join(probe, "image"));
  } catch (error) {
    throw new Untried(codeOf(error), `write an image: ${messageOf(error)}`, { cause: error });
  }
}

async function makeImage(kernel: Pick<LayerKernel, "unpackLayer">, image: string): Promise<void> {
  const unpack = kernel.unpackLayer(image, LIMITS, {}, undefined, "erofs");
  try {
    for await (const chunk of tarOfProbe()) await unpack.write(chunk as Buffer);
    await unpack.finish();
  } finally {
    await unpack.abort();
  }
}

function tarOfProbe(): AsyncIterable<unknown> {
  const tar = pack();
  const mtime = new Date(0);
  tar.entry({ name: NAME, mtime, pax: ATTRIBUTES }, CONTENT);
  tar.entry({ name: `${OPAQUE}/.wh..wh..opq`, mtime }, "");
  tar.finalize();
  return tar;
}
