// One line in the daemon's log for each pull: how long, how much, and where the time went.

import type { Logger } from "../lib/call.ts";
import type { LayerRecord, PhaseTime, PullRecord } from "../types/pull.ts";

export function logPull(log: Logger, record: PullRecord): void {
  const { image, imageId, beganAt, endedAt, error, layers, phases } = record;
  const fetched = layers.reduce((sum, layer) => sum + layer.fetchedBytes, 0);
  const ms = Math.round((endedAt - beganAt) / 1000);
  const slowest = slowestOf(layers);
  const fields = {
    image,
    ms,
    bytes: fetched,
    resumed: layers.reduce((sum, layer) => sum + layer.resumedBytes, 0),
    retries: layers.reduce((sum, layer) => sum + layer.retries, 0),
    layers: layers.length,
    fetched: layers.filter(({ outcome }) => outcome === "fetched").length,
    phases: milliseconds(phases),
    ...(slowest === undefined
      ? {}
      : { slowest: { layer: slowest.layer, host: slowest.host, phases: milliseconds(slowest.phases) } }),
  };
  if (error === "") log.info({ id: imageId, ...fields }, "image pulled");
  else log.warn({ error, ...fields }, "pull failed");
}

function slowestOf(layers: readonly LayerRecord[]): LayerRecord | undefined {
  const total = ({ phases }: LayerRecord) => phases.reduce((sum, { activeMicros }) => sum + activeMicros, 0);
  return layers.toSorted((a, b) => total(b) - total(a))[0];
}

function milliseconds(phases: readonly PhaseTime[]): Record<string, number> {
  return Object.fromEntries(
    phases.map(({ phase, activeMicros }) => [phase, Math.round(activeMicros / 1000)]),
  );
}
