// Images out of their records, when the database that knew them is lost.

import { basename, dirname, join } from "node:path";
import type { Call } from "../lib/call.ts";
import { messageOf } from "../lib/errors.ts";
import { namesIn } from "../lib/optional-file.ts";
import { durably } from "../store/durable.ts";
import { putImage } from "../store/images.ts";
import { raiseLayerNumbers } from "../store/layers.ts";
import type { ImageId } from "../types/ids.ts";
import type { ImageDeps } from "./deps.ts";
import { type ImageRecord, readImageRecord } from "./image-record.ts";
import { artifactIdentity, runtimeConfigOf } from "./read-image.ts";
import { readImageConfig } from "./read-manifest.ts";

export interface RebuildReport {
  readonly rebuilt: readonly ImageId[];
  /** Records that could not be read, or whose layers are not there. */
  readonly left: number;
}

/**
 * Makes rows of the records of an empty database. A record counts only when its parts fit together and every
 * layer is there; whether those hold what they should is for the check that follows every start.
 */
export async function rebuildImages(deps: ImageDeps, call: Call): Promise<RebuildReport> {
  const names = await namesIn(deps.paths.imageRecords);
  const present = new Set(await namesIn(dirname(deps.paths.layer(0))));
  // Numbers that layers on disk have must not be given again, whoever they belonged to.
  const numbers = [...present].map((name) => Number.parseInt(name, 36)).filter(Number.isSafeInteger);
  raiseLayerNumbers(deps.store, Math.max(0, ...numbers));
  const records: ImageRecord[] = [];
  for (const name of names) {
    const path = join(deps.paths.imageRecords, name);
    try {
      const record = await readImageRecord(path);
      const missing = record.layers.find(({ number }) => !present.has(basename(deps.paths.layer(number))));
      if (missing === undefined) records.push(record);
      else
        call.log.warn(
          { image: record.id, layer: missing.diffId, path },
          "image not rebuilt: a layer is missing",
        );
    } catch (error) {
      call.log.warn({ path, error: messageOf(error) }, "image not rebuilt");
    }
  }
  // Of two that claim a name the later pull had it last.
  records.sort((a, b) => a.pulledAt - b.pulledAt);
  const rebuilt: ImageId[] = [];
  for (const record of records) {
    try {
      durably(deps.store, () => put(deps, record));
      rebuilt.push(record.id);
    } catch (error) {
      call.log.warn({ image: record.id, error: messageOf(error) }, "image not rebuilt");
    }
  }
  return { rebuilt, left: names.length - rebuilt.length };
}

function put(deps: ImageDeps, record: ImageRecord): void {
  const manifest = Buffer.from(record.manifest.base64, "base64");
  const { artifact, ...identity } = identityOf(record, manifest);
  putImage(deps.store, {
    image: {
      ...identity,
      size: record.size,
      manifestDigest: record.manifest.digest,
      architecture: record.architecture,
      os: record.os,
      pulledAt: record.pulledAt,
    },
    artifact,
    manifest,
    manifestType: record.manifest.mediaType,
    layers: record.layers,
    refs: record.refs,
    local: record.local,
  });
}

function identityOf(record: ImageRecord, manifest: Uint8Array) {
  if (record.artifact !== undefined) {
    const { type, configBase64 } = record.artifact;
    return artifactIdentity(manifest, type, Buffer.from(configBase64, "base64"));
  }
  const config = readImageConfig(Buffer.from(record.config), `config of image "${record.id}"`);
  return { id: record.id, config: runtimeConfigOf(config), configJson: record.config, artifact: null };
}
