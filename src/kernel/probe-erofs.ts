// A layer as small as can be, made and mounted as real ones are: what this tells of a host holds for them.

import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { BerthError, codeOf, messageOf } from "../lib/errors.ts";
import type { LayerKernel } from "./kernel.ts";

const BLOCK = 512;
const LIMITS = { maxUnpackedBytes: 1 << 20, maxEntries: 8 };
/** addon/kernel/erofs_probe.h looks for it. */
const [NAME, CONTENT] = ["probe", "berth\n"];

/**
 * "" when this host can make roots of layers that are EROFS images, else the step that fails, and why.
 * Rejects when it cannot be tried: what a full disk or a lack of memory lets fail says nothing about it.
 */
export async function probeErofs(
  kernel: Pick<LayerKernel, "unpackLayer" | "removeTree">,
  tryImage: (image: string, directory: string) => Promise<void>,
  directory: string,
): Promise<string> {
  const image = join(directory, `probe-${randomBytes(12).toString("hex")}`);
  try {
    await makeImage(kernel, image);
    await tryImage(image, directory);
    return "";
  } catch (error) {
    if (error instanceof Untried || codeOf(error) === "RESOURCE_EXHAUSTED") throw error;
    return messageOf(error);
  } finally {
    await kernel.removeTree(image);
  }
}

class Untried extends BerthError {}

async function makeImage(kernel: Pick<LayerKernel, "unpackLayer">, image: string): Promise<void> {
  try {
    const unpack = kernel.unpackLayer(image, LIMITS, {}, undefined, "erofs");
    try {
      await unpack.write(tarOfOne());
      await unpack.finish();
    } finally {
      await unpack.abort();
    }
  } catch (error) {
    throw new Untried(codeOf(error), `write an image: ${messageOf(error)}`, { cause: error });
  }
}

/** POSIX.1-1988, ustar. */
function tarOfOne(): Buffer {
  const tar = Buffer.alloc(4 * BLOCK);
  tar.write(NAME, 0);
  tar.write("0000644\0" + "0000000\0" + "0000000\0", 100);
  tar.write(`${CONTENT.length.toString(8).padStart(11, "0")}\0${"0".repeat(11)}\0`, 124);
  tar.fill(" ", 148, 156);
  tar.write("0", 156);
  tar.write("ustar\0" + "00", 257);
  const sum = tar.subarray(0, BLOCK).reduce((total, byte) => total + byte, 0);
  tar.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  tar.write(CONTENT, BLOCK);
  return tar;
}
