// All layers of an image: those on disk as they are, the others at once, up to the configured number.

import { findLayer } from "../store/layers.ts";
import type { Layer } from "../types/image.ts";
import { fetchLayer, type LayerJob } from "./fetch-layer.ts";
import type { LayerSource } from "./read-image.ts";

/**
 * The layers, in the order of `sources`. The caller holds them at the desk. The first failure stops all
 * others; when this throws nothing of the job runs any more.
 */
export async function obtainLayers(job: LayerJob, sources: readonly LayerSource[]): Promise<Layer[]> {
  const group = new AbortController();
  const signal = AbortSignal.any([job.call.signal, group.signal]);
  const layers: Layer[] = [];
  // The largest first: what is written of them reaches the disk while the small ones are unpacked.
  const bySize = [...sources.entries()].sort(([, a], [, b]) => b.descriptor.size - a.descriptor.size);
  const waiting = bySize.values();
  for (const source of sources) job.recorder.layer(source);
  const work = async () => {
    try {
      for (const [position, source] of waiting) {
        signal.throwIfAborted();
        layers[position] = await obtainLayer(job, source, signal);
      }
    } catch (error) {
      group.abort(error);
    }
  };
  const workers = Math.min(Math.max(1, job.deps.config.images.parallelLayers), sources.length);
  await Promise.all(Array.from({ length: workers }, work));
  job.call.signal.throwIfAborted();
  group.signal.throwIfAborted();
  return layers;
}

async function obtainLayer(job: LayerJob, source: LayerSource, signal: AbortSignal): Promise<Layer> {
  const { deps } = job;
  const { diffId } = source;
  const record = job.recorder.layer(source);
  for (;;) {
    let ours = false;
    const work = (flightSignal: AbortSignal) => {
      ours = true;
      return fetchLayer(job, source, flightSignal);
    };
    try {
      const present = findLayer(deps.store, diffId);
      const layer = present ?? (await deps.desk.flights.join(diffId, signal, work));
      record.done(present !== undefined ? "present" : ours ? "fetched" : "shared");
      return layer;
    } catch (error) {
      signal.throwIfAborted();
      // Another pull's failure need not be ours: it has its own registry and credentials.
      if (ours) throw error;
    }
  }
}
