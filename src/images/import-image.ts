import { randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { pourAll } from "../lib/byte-sink.ts";
import { type Call, throwIfAborted } from "../lib/call.ts";
import { BerthError } from "../lib/errors.ts";
import { withSteps } from "../lib/undo.ts";
import { digestOf } from "../registry/digest.ts";
import { formatReference, parseReference } from "../registry/reference.ts";
import type { ImageRef } from "../store/image-refs.ts";
import type { ImageId } from "../types/ids.ts";
import { type Descriptor, mediaTypes } from "../types/oci-image.ts";
import { removeSpool, spoolFile } from "./archive-files.ts";
import type { ContentSource } from "./content-source.ts";
import { decompressed } from "./decompressed.ts";
import type { ImageDeps } from "./deps.ts";
import { applyChanges } from "./import-changes.ts";
import { installLocal } from "./install-local.ts";
import { hostPlatform } from "./platform.ts";

export interface ImportRequest {
  /** Tag of the image; "" for none. */
  readonly reference: string;
  /** Instructions of a Dockerfile for its config. */
  readonly changes: readonly string[];
  /** A remark in its history. */
  readonly message: string;
}

/**
 * Makes an image of one layer out of a root file system in a tar, plain or compressed with gzip or zstd.
 * Needs room for the tar beside the layer while it runs. Errors: INVALID_ARGUMENT (no tar, malformed
 * reference or change), RESOURCE_EXHAUSTED (limits, full disk), CANCELLED.
 */
export async function importImage(
  deps: ImageDeps,
  call: Call,
  request: ImportRequest,
  source: AsyncIterable<Uint8Array>,
): Promise<ImageId> {
  const refs = refsOf(request.reference);
  const runtime = applyChanges(request.changes);
  const directory = join(deps.paths.staging, `import-${randomBytes(12).toString("hex")}`);
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return await withSteps("ImportImage", call, async (steps) => {
      const path = join(directory, "layer");
      const limit = deps.config.images.maxLayerUnpackedBytes;
      const layer = await steps.run("spool", () =>
        spoolFile(deps.kernel, decompressed(source, "the root file system"), path, {
          limit,
          signal: call.signal,
        }),
      );
      if (layer.size === 0) throw new BerthError("INVALID_ARGUMENT", "import image: the tar is empty");
      const content = await describe(request, runtime, {
        mediaType: mediaTypes.ociLayer,
        digest: layer.digest,
        size: layer.size,
      });
      const what = `imported image "${request.reference || content.configDigest}"`;
      const blobs: ContentSource = {
        manifest: async () => content.manifest,
        async pour({ digest }, sink, _signal, options) {
          if (digest === content.configDigest) return await sink(content.config);
          const start = options?.first ?? 0;
          await pourAll(createReadStream(path, { start, highWaterMark: 256 * 1024 }), sink);
        },
        isRemote: false,
      };
      const root = {
        digest: digestOf(content.manifest, "sha256:"),
        mediaType: mediaTypes.ociManifest,
        bytes: content.manifest,
      };
      return await installLocal({ deps, call, source: blobs, what }, steps, root, refs);
    });
  } catch (error) {
    throwIfAborted(call, "import image");
    throw error;
  } finally {
    await removeSpool(deps, call, directory);
  }
}

function refsOf(text: string): ImageRef[] {
  if (text === "") return [];
  const reference = parseReference(text);
  if (reference.digest === undefined) return [{ ref: formatReference(reference), kind: "tag" }];
  throw new BerthError("INVALID_ARGUMENT", `import image: "${text}" has a digest; name a tag`);
}

async function describe(request: ImportRequest, runtime: object, layer: Descriptor) {
  const here = await hostPlatform();
  const created = new Date().toISOString();
  const comment = request.message === "" ? {} : { comment: request.message };
  const config = Buffer.from(
    JSON.stringify({
      created,
      architecture: here.machines[0]?.architecture,
      os: here.os,
      config: runtime,
      rootfs: { type: "layers", diff_ids: [layer.digest] },
      history: [{ created, created_by: "berth import", ...comment }],
    }),
  );
  const configDigest = digestOf(config, "sha256:");
  const described = { mediaType: mediaTypes.ociConfig, digest: configDigest, size: config.byteLength };
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: described,
      layers: [layer],
    }),
  );
  return { config, configDigest, manifest };
}
