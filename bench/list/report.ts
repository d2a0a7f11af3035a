// The section about lists.

import { describeMachine } from "../run/machine.ts";
import type { Samples } from "../run/samples.ts";
import type { LoopDelays } from "./loop.ts";

export interface ListFigures {
  readonly containers: number;
  readonly runs: number;
  readonly commit: string;
  /** Of the machine, before and after. */
  readonly loads: readonly string[];
  /** From the daemon's first line of code until it accepted connections, and for some seconds after that. */
  readonly untilReady: LoopDelays;
  readonly recovering: LoopDelays;
  readonly recoverySeconds: number;
  readonly pss: { readonly idle: number; readonly started: number; readonly listed: number };
  readonly lists: {
    readonly samples: Samples;
    readonly sizes: ReadonlyMap<string, number>;
    readonly delays: ReadonlyMap<string, LoopDelays>;
  };
  readonly beside: { readonly samples: Samples; readonly delays: ReadonlyMap<string, LoopDelays> };
}

const ms = (value: number | undefined) => (value === undefined ? "–" : value.toFixed(1));
const mib = (kib: number) => (kib / 1024).toFixed(1);
const row = (...cells: readonly string[]) => `| ${cells.join(" | ")} |`;
const named = (method: string) => `${method.charAt(0).toUpperCase()}${method.slice(1)}`;

export function reportList(figures: ListFigures): string {
  const { containers, runs, commit, loads } = figures;
  const date = new Date().toISOString().slice(0, 16).replace("T", " ");
  return [
    `## list: ${containers} ended containers in as many pods`,
    "",
    `- ${date} UTC; ${describeMachine()}; load before ${loads[0]}, after ${loads[1]}. berth ${commit}.`,
    `- ${runs} calls after the first one, 10 ms apart, without the decoding in the client.`,
    "- `loop` is how late a timer of 1 ms in the daemon came at the worst, without the time in which other " +
      "processes had the processors (with it in brackets).",
    "",
    ...calls(figures),
    "",
    "### Other calls meanwhile",
    "",
    "A process of its own asks for the list without pause.",
    "",
    ...besides(figures),
    "",
    "### Start and memory",
    "",
    `loop: ${loop(figures.untilReady)} ms from the start of the daemon until it listened, ` +
      `${loop(figures.recovering)} ms in the ${figures.recoverySeconds} seconds after that.`,
    "",
    row("PSS of the daemon, MiB", "without rows", "started", "after the lists"),
    row("---", "---", "---", "---"),
    row("", mib(figures.pss.idle), mib(figures.pss.started), mib(figures.pss.listed)),
  ].join("\n");
}

function loop(delays: LoopDelays | undefined): string {
  return delays === undefined ? "–" : `${ms(delays.own)} (${ms(delays.late)})`;
}

function calls({ lists: { samples, sizes, delays } }: ListFigures): string[] {
  return [
    row("ms", "first", "loop", "median", "p95", "loop", "answer, MiB"),
    row("---", "---", "---", "---", "---", "---", "---"),
    ...[...sizes].map(([list, size]) =>
      row(
        named(list),
        ms(samples.median("first", list)),
        loop(delays.get(`first ${list}`)),
        ms(samples.median("later", list)),
        ms(samples.quantile("later", list, 0.95)),
        loop(delays.get(list)),
        (size / 1024 ** 2).toFixed(2),
      ),
    ),
  ];
}

function besides({ beside: { samples, delays } }: ListFigures): string[] {
  const spread = (beside: string, call: string) =>
    `${ms(samples.median(beside, call))} (${ms(samples.quantile(beside, call, 0.95))})`;
  return [
    row("ms, median (p95)", "Status", "ExecSync of `true`", "loop"),
    row("---", "---", "---", "---"),
    ...[...delays].map(([beside, delay]) =>
      row(
        beside === "nothing" ? "alone" : `beside ${named(beside)}`,
        spread(beside, "Status"),
        spread(beside, "ExecSync"),
        loop(delay),
      ),
    ),
  ];
}
