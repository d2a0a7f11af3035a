// Everything an image verb needs, in a directory of its own.

import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type ImageDeps, makeImageDeps } from "../../../../src/images/deps.ts";
import type { LayerForms } from "../../../../src/images/layer-forms.ts";
import type { LayerKernel } from "../../../../src/kernel/kernel.ts";
import { type Call, silentLogger } from "../../../../src/lib/call.ts";
import { makePaths } from "../../../../src/paths.ts";
import { RegistryClient } from "../../../../src/registry/client.ts";
import type { Timings } from "../../../../src/registry/transport.ts";
import { LayerMounts } from "../../../../src/snapshots/layer-mounts.ts";
import { openStore, type Store } from "../../../../src/store/open.ts";
import type { BerthConfig, RegistryConfig } from "../../../../src/types/config.ts";
import type { BerthEvent } from "../../../../src/types/events.ts";

export interface Bench {
  readonly deps: ImageDeps;
  readonly events: BerthEvent[];
  /** Names of what is left in staging, and of the layers' directories. */
  left(): { staging: string[]; layers: string[] };
  close(): Promise<void>;
}

/** Directories, on a host that could use images. */
export const layerForms: LayerForms = { form: "directory", reason: "a test", erofsMissing: "" };

export const testLimits = {
  maxManifestBytes: 65_536,
  maxConfigBytes: 65_536,
  maxLayers: 8,
  maxLayerUnpackedBytes: 64 * 1024 * 1024,
  maxLayerEntries: 100_000,
  parallelLayers: 3,
};

export function makeBench(
  kernel: LayerKernel,
  registry: RegistryConfig = { hosts: {} },
  timings: Partial<Timings> = {},
  forms: Partial<LayerForms> = {},
): Bench {
  const root = mkdtempSync(join(tmpdir(), "berth-images-"));
  const paths = makePaths(root, join(root, "run"), join(root, "sock"));
  const store = openStore(":memory:");
  const client = new RegistryClient(registry, { retryBaseMs: 1, ...timings });
  const events: BerthEvent[] = [];
  const config = { images: testLimits, registry } as BerthConfig;
  const sink = (event: BerthEvent) => void events.push(event);
  const layerMounts = new LayerMounts({ kernel, paths });
  const parts = { store, kernel, paths, config, layerMounts, registry: client, events: sink };
  const deps = makeImageDeps({ ...parts, layerForms: { ...layerForms, ...forms } });
  return {
    deps,
    events,
    left: () => ({ staging: namesIn(paths.staging), layers: namesIn(dirname(paths.layer(0))) }),
    async close() {
      await client.close();
      store.close();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

export function makeCall(signal: AbortSignal = new AbortController().signal): Call {
  return { signal, log: silentLogger, observeStep: () => {} };
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
}

/** A row of a container with nothing behind it. */
export function addContainer(store: Store, id: string, imageId: string, mounts: object[] = []): void {
  store.exec(`INSERT OR IGNORE INTO pods (id, name, namespace, uid, attempt, handler, config, created_at,
    netns_path, network, cgroup_path, boot_id)
    VALUES ('p', 'n', 'ns', 'u', 0, '', '{}', 1, '', '{}', '', '')`);
  const sql = `INSERT INTO containers (id, pod_id, name, attempt, config, image_id, image_ref, created_at,
    user, cgroup_path, log_path, stop_signal, exec_template)
    VALUES (?, 'p', ?, 0, ?, ?, '', 1, '{}', '', '', 15, '{}')`;
  store.prepare(sql).run(id, id, JSON.stringify({ mounts }), imageId);
}
