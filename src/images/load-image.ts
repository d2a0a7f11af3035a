import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Call, throwIfAborted } from "../lib/call.ts";
import { withSteps } from "../lib/undo.ts";
import type { ImageId } from "../types/ids.ts";
import { removeSpool, spoolArchive } from "./archive-files.ts";
import { archiveSource, imagesInArchive } from "./archive-images.ts";
import type { ImageDeps } from "./deps.ts";
import { installLocal } from "./install-local.ts";

export interface LoadedImage {
  readonly id: ImageId;
  /** The names it got: tags, and "name@digest". Empty when the archive names none. */
  readonly references: string[];
}

/**
 * Loads the images of a tar stream, plain or compressed with gzip or zstd: an OCI image layout, named by the
 * annotations io.containerd.image.name or org.opencontainers.image.ref.name, or by the manifest.json
 * beside it, or the older form of `docker save`. Needs room for the archive beside
 * the layers while it runs. Errors as for pullImage, and INVALID_ARGUMENT when it is no image archive.
 */
export async function loadImage(
  deps: ImageDeps,
  call: Call,
  source: AsyncIterable<Uint8Array>,
): Promise<LoadedImage[]> {
  const directory = join(deps.paths.staging, `load-${randomBytes(12).toString("hex")}`);
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return await withSteps("loadImage", call, async (steps) => {
      const files = await steps.run("spool", () => spoolArchive(deps, source, directory, call.signal));
      const content = archiveSource(files);
      const loaded = new Map<ImageId, string[]>();
      for (const { root, refs } of await imagesInArchive(files, deps.config.images)) {
        const what = `image "${refs[0]?.ref ?? root.digest}" of the archive`;
        const id = await installLocal({ deps, call, source: content, what }, steps, root, refs);
        loaded.set(id, [...(loaded.get(id) ?? []), ...refs.map(({ ref }) => ref)]);
      }
      return [...loaded].map(([id, references]) => ({ id, references }));
    });
  } catch (error) {
    throwIfAborted(call, "load images");
    throw error;
  } finally {
    await removeSpool(deps, call, directory);
  }
}
