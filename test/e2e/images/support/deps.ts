// What image verbs need, with the real unpacker and a database in `root`.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { type ImageDeps, makeImageDeps } from "../../../../src/images/deps.ts";
import type { LayerForms } from "../../../../src/images/layer-forms.ts";
import type { LayerForm } from "../../../../src/kernel/kernel.ts";
import { makeLayerKernel, type NativeLayers } from "../../../../src/kernel/layers.ts";
import { makePaths } from "../../../../src/paths.ts";
import { RegistryClient } from "../../../../src/registry/client.ts";
import { LayerMounts } from "../../../../src/snapshots/layer-mounts.ts";
import { openStore } from "../../../../src/store/open.ts";
import type { BerthConfig, RegistryHostConfig } from "../../../../src/types/config.ts";

function loadNative(): NativeLayers {
  const built = resolve(import.meta.dirname, "../../../../out/native/Release/berth.node");
  return createRequire(import.meta.url)(process.env.BERTH_NATIVE ?? built) as NativeLayers;
}

/** The real one, for this process. */
export const kernel = makeLayerKernel(loadNative());

async function probeHost(): Promise<LayerForms> {
  const directory = mkdtempSync("/tmp/berth-e2e-probe-");
  try {
    const erofsMissing = await kernel.probeErofs(directory);
    return { form: erofsMissing === "" ? "erofs" : "directory", reason: "a test", erofsMissing };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** What the daemon chooses here by itself. */
export const hostForms = await probeHost();
/** Every form that this host can use. */
export const usableForms: readonly LayerForm[] =
  hostForms.form === "erofs" ? ["erofs", "directory"] : ["directory"];

interface Choices {
  readonly keepBlobs?: boolean;
  readonly maxLayers?: number;
  readonly form?: LayerForm;
}

export function makeDeps(
  root: string,
  hosts: Record<string, RegistryHostConfig>,
  { form = hostForms.form, ...more }: Choices = {},
): ImageDeps {
  const images = {
    maxManifestBytes: 4 << 20,
    maxConfigBytes: 4 << 20,
    maxLayers: 128,
    maxLayerUnpackedBytes: 1 << 30,
    maxLayerEntries: 100_000,
    parallelLayers: 3,
    ...more,
  };
  mkdirSync(root, { recursive: true });
  const paths = makePaths(root, join(root, "run"), join(root, "sock"));
  return makeImageDeps({
    store: openStore(join(root, "berth.db")),
    kernel,
    layerForms: { ...hostForms, form },
    paths,
    layerMounts: new LayerMounts({ kernel, paths }),
    config: { registry: { hosts }, images } as unknown as BerthConfig,
    registry: new RegistryClient({ hosts }),
    events: () => {},
  });
}
