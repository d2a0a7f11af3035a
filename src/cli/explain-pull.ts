// Where a pull's time went, for people: a line for the whole, a table of its layers, and the one thing that
// held it up most.

import type { LayerRecord, PhaseTime, PullRecord } from "../gen/berth/v1/registries.ts";
import { humanSize } from "./format/quantities.ts";
import { shortId } from "./format/references.ts";
import { harmless, table } from "./format/table.ts";

const COLUMNS = ["wait", "download", "unpack", "sync", "commit"];

/** Several lines. `now` is in milliseconds, for a pull that runs. */
export function explainPull(pull: PullRecord, now: number): string {
  const whole = spanOf(pull, now);
  const parts = pull.phases.map(({ phase, activeUs }) => `${phase} ${seconds(activeUs)}`).join(", ");
  const rows = pull.layers.map((layer) => rowOf(layer));
  const state = pull.error !== "" ? "failed" : pull.endedAt === 0n ? "running" : "done";
  const lines = [`Pull of ${harmless(pull.image)}: ${state}, ${seconds(whole)} (${parts})`];
  if (pull.error !== "") lines.push(`Error: ${harmless(pull.error)}`);
  if (rows.length > 0) {
    const headers = ["LAYER", "SIZE", "FETCHED", "RATE", "RETRIES", ...COLUMNS.map(upper), "RESULT", "HOST"];
    lines.push("", table(headers, rows).trimEnd());
  }
  const verdict = verdictOf(pull);
  return `${[...lines, ...(verdict === "" ? [] : ["", verdict])].join("\n")}\n`;
}

/** Microseconds that the pull has taken so far. */
export function spanOf({ beganAt, endedAt }: PullRecord, now: number): bigint {
  return (endedAt === 0n ? BigInt(now) * 1000n : endedAt) - beganAt;
}

export function seconds(micros: bigint): string {
  return `${(Number(micros) / 1e6).toFixed(2)}s`;
}

function rowOf(layer: LayerRecord): string[] {
  const resumed = layer.resumed > 0n ? ` +${humanSize(Number(layer.resumed))} kept` : "";
  return [
    shortId(layer.layer),
    humanSize(Number(layer.size)),
    `${humanSize(Number(layer.fetched))}${resumed}`,
    rateOf(layer),
    String(layer.retries),
    ...COLUMNS.map((phase) => seconds(activeOf(layer.phases, phase))),
    layer.outcome === "" ? "running" : layer.outcome,
    layer.host,
  ];
}

/** Over the time in which bytes could have come: unpacking goes on beside the download. */
function rateOf({ fetched, phases }: LayerRecord): string {
  const micros = activeOf(phases, "download") + activeOf(phases, "unpack");
  if (fetched === 0n || micros === 0n) return "-";
  return `${humanSize((Number(fetched) * 1e6) / Number(micros))}/s`;
}

function activeOf(phases: readonly PhaseTime[], phase: string): bigint {
  return phases.find((one) => one.phase === phase)?.activeUs ?? 0n;
}

/** What took longest on the way of the layer that was ready last. */
function verdictOf(pull: PullRecord): string {
  const resolve = activeOf(pull.phases, "resolve");
  const last = pull.layers.toSorted((a, b) => endOf(b) - endOf(a))[0];
  const phases = [
    { phase: "resolve", micros: resolve, where: "finding the manifest and the config" },
    ...(last?.phases ?? []).map(({ phase, activeUs }) => ({
      phase,
      micros: activeUs,
      where: describe(phase, last as LayerRecord),
    })),
  ];
  const slowest = phases.toSorted((a, b) => Number(b.micros - a.micros))[0];
  if (slowest === undefined || slowest.micros === 0n) return "";
  const retries = pull.layers.reduce((sum, layer) => sum + layer.retries, 0);
  const broke = retries === 0 ? "" : `; transfers broke ${retries} times`;
  return `Longest: ${slowest.where}, ${seconds(slowest.micros)}${broke}.`;
}

function describe(phase: string, layer: LayerRecord): string {
  const name = `layer ${shortId(layer.layer)}`;
  switch (phase) {
    case "wait":
      return `${name} waiting for its turn (parallel_layers, max_downloads) or for another pull`;
    case "download":
      return `downloading ${name} from ${harmless(layer.host)} at ${rateOf(layer)}`;
    case "unpack":
      return `unpacking ${name} (processor and disk, not the network)`;
    case "sync":
      return `putting ${name} into its place on the disk`;
    default:
      return `recording ${name}`;
  }
}

/** Microseconds since the epoch: exact as a number until the year 2255. */
function endOf({ phases }: LayerRecord): number {
  return Math.max(0, ...phases.map(({ endedAt }) => Number(endedAt)));
}

const upper = (text: string): string => text.toUpperCase();
