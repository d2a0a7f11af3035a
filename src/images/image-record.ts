// The record of an image on disk: everything to know it again when the database is lost. The database
// decides; a record follows it, and the sweep at the next start mends what a crash or a full disk left
// behind.

import { randomBytes } from "node:crypto";
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import Type, { type Static } from "typebox";
import { Compile } from "typebox/compile";
import type { Logger } from "../lib/call.ts";
import { replaceFile } from "../lib/durable-file.ts";
import { BerthError, messageOf } from "../lib/errors.ts";
import { readOptional } from "../lib/optional-file.ts";
import { digestOf } from "../registry/digest.ts";
import { isDigest } from "../registry/reference.ts";
import { refsOfImage } from "../store/image-refs.ts";
import { configOfImage, getImage, isLocal, manifestOfImage } from "../store/images.ts";
import { layersOfImage } from "../store/layers.ts";
import type { Store } from "../store/open.ts";
import type { ImageId } from "../types/ids.ts";
import type { ImageDeps } from "./deps.ts";

const whole = Type.Integer({ minimum: 0 });

const recordSchema = Type.Object({
  version: Type.Literal(1),
  id: Type.String({ pattern: "^sha256:[0-9a-f]{64}$" }),
  /** "" of an artifact. */
  config: Type.String(),
  artifact: Type.Optional(Type.Object({ type: Type.String(), configBase64: Type.String() })),
  manifest: Type.Object({ digest: Type.String(), mediaType: Type.String(), base64: Type.String() }),
  architecture: Type.String(),
  os: Type.String(),
  size: whole,
  pulledAt: whole,
  local: Type.Boolean(),
  refs: Type.Array(
    Type.Object({ ref: Type.String(), kind: Type.Union([Type.Literal("tag"), Type.Literal("digest")]) }),
  ),
  layers: Type.Array(
    Type.Object({
      number: Type.Integer({ minimum: 1 }),
      diffId: Type.String(),
      tarDigest: Type.Optional(Type.String()),
      blobDigest: Type.String(),
      blobSize: whole,
      unpackedBytes: whole,
      entries: whole,
      createdAt: whole,
    }),
  ),
});
export type ImageRecord = Static<typeof recordSchema>;

const validator = Compile(recordSchema);

/**
 * Brings the record of an image up to date, or removes it when the image is gone. A failure is logged: the
 * image is there all the same.
 */
export async function recordImage(deps: ImageDeps, log: Logger, id: ImageId): Promise<void> {
  const path = deps.paths.imageRecord(id);
  try {
    // The last one to run reads the database last.
    await deps.imageMutex.run(`record ${id}`, async () => {
      const record = describeImage(deps.store, id);
      if (record === null) return await rm(path, { force: true });
      const text = `${JSON.stringify(record)}\n`;
      if ((await readOptional(path)) === text) return;
      await mkdir(deps.paths.imageRecords, { recursive: true, mode: 0o700 });
      await mkdir(deps.paths.staging, { recursive: true, mode: 0o700 });
      const temporary = join(deps.paths.staging, `record-${randomBytes(12).toString("hex")}`);
      await replaceFile(path, temporary, text);
    });
  } catch (error) {
    log.warn({ image: id, path, error: messageOf(error) }, "write image record failed");
  }
}

/** Null when the image is not there. */
function describeImage(store: Store, id: ImageId): ImageRecord | null {
  const image = getImage(store, id);
  const manifest = manifestOfImage(store, id);
  const config = configOfImage(store, id);
  if (image === null || manifest === null || config === null) return null;
  const { artifact } = image;
  return {
    version: 1,
    id,
    config: image.configJson,
    ...(artifact === null
      ? {}
      : { artifact: { type: artifact.type, configBase64: Buffer.from(config).toString("base64") } }),
    manifest: {
      digest: manifest.digest,
      mediaType: manifest.mediaType,
      base64: Buffer.from(manifest.bytes).toString("base64"),
    },
    architecture: image.architecture,
    os: image.os,
    size: image.size,
    pulledAt: image.pulledAt,
    local: isLocal(store, id),
    refs: refsOfImage(store, id),
    layers: layersOfImage(store, id).map(({ damage, tarDigest, ...layer }) =>
      tarDigest === undefined ? layer : { ...layer, tarDigest },
    ),
  };
}

/** Reads a record and checks that it is consistent in itself. DATA_LOSS says why it is not. */
export async function readImageRecord(path: string): Promise<ImageRecord> {
  const refuse = (why: string) => new BerthError("DATA_LOSS", `read image record "${path}": ${why}`);
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    throw refuse(messageOf(error));
  }
  if (!validator.Check(value)) {
    const [first] = validator.Errors(value);
    throw refuse(`"${first?.instancePath ?? ""}" ${first?.message ?? "is malformed"}`);
  }
  const record = value as ImageRecord;
  const { digest, base64 } = record.manifest;
  const manifest = Buffer.from(base64, "base64");
  const named = record.artifact === undefined ? Buffer.from(record.config) : manifest;
  if (digestOf(named, "sha256:") !== record.id) {
    throw refuse(`its ${record.artifact === undefined ? "config" : "manifest"} is not the id's`);
  }
  if (!isDigest(digest) || digestOf(manifest, digest) !== digest) {
    throw refuse("its manifest is not the digest's");
  }
  return record;
}
