// `npm run bench -- userns`: what a user namespace costs a pod and its containers, with berth's own handler
// and with external runtimes under it. With and without one take turns within one run.

import { cpus } from "node:os";
import { basename, dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { makeProbeImage } from "../test/images/recipes.ts";
import { type Cleanup, runBench } from "./run/cleanup.ts";
import { describeCommit, describeMachine, load, versionOf } from "./run/machine.ts";
import { writeSection } from "./run/results-file.ts";
import { Samples } from "./run/samples.ts";
import { makeScratch } from "./run/scratch.ts";
import { cell, table } from "./start/report.ts";
import { Rounds } from "./start/rounds.ts";
import { FOREIGN, startBerth } from "./subjects/berth-server.ts";
import type { CriEngine } from "./subjects/cri-engine.ts";
import { freeSubnets } from "./subjects/host-parts.ts";

const USAGE = `Usage: npm run bench -- userns [options]

  --runs N    rounds that count (20)
  --pause MS  pause before each timed call (20)
  --out FILE  where the section goes (bench/RESULTS.md); "-" prints it only
`;

const WARM_UP_ROUNDS = 2;
const BUSY =
  "The machine had more to do than it has processors: differences of a few milliseconds mean nothing.";
const project = dirname(import.meta.dirname);

function readOptions() {
  const { values } = parseArgs({
    options: {
      runs: { type: "string", default: "20" },
      pause: { type: "string", default: "20" },
      out: { type: "string", default: join(project, "bench/RESULTS.md") },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const [runs, pauseMs] = [Number(values.runs), Number(values.pause)];
  if (!Number.isInteger(runs) || runs < 1)
    throw new Error(`--runs "${values.runs}": a whole number from 1 on`);
  if (!(pauseMs >= 0)) throw new Error(`--pause "${values.pause}": milliseconds`);
  return { help: values.help, runs, pauseMs, out: values.out };
}

type Options = ReturnType<typeof readOptions>;

interface Pair {
  readonly handler: string;
  readonly without: CriEngine;
  readonly with: CriEngine;
}

const WORKS = [
  ["RunPodSandbox, host", "RunPodSandbox, host's network"],
  ["RunPodSandbox, bridge", "RunPodSandbox, bridge"],
  ["CreateContainer, host", "CreateContainer"],
  ["StartContainer, host", "StartContainer"],
  ["create + start", "create + start, in a row"],
  ["exec", "exec of `true`"],
  ["run to the end", "create + start + exit seen + remove, of `true`"],
  ["StopPodSandbox, bridge", "StopPodSandbox, bridge"],
] as const;

/** Of the two medians. */
function difference(samples: Samples, pair: Pair, work: string): string {
  const [plain, mapped] = [pair.without, pair.with].map(({ name }) => samples.median(name, work));
  if (plain === undefined || mapped === undefined) return "–";
  const more = mapped - plain;
  return `${more < 0 ? "−" : "+"}${Math.abs(more).toFixed(2)}`;
}

function report(samples: Samples, pairs: readonly Pair[], facts: readonly string[]): string {
  const head = ["ms, median (p95)", "without", "with a user namespace", "difference of the medians"];
  const tables = pairs.flatMap((pair) => {
    const rows = WORKS.map(([work, title]) => [
      title,
      cell(samples, pair.without.name, work),
      cell(samples, pair.with.name, work),
      difference(samples, pair, work),
    ]);
    return [`### Handler ${pair.handler}`, table(head, rows)];
  });
  const title = "## userns: what a user namespace costs";
  return [title, facts.map((fact) => `- ${fact}`).join("\n"), ...tables].join("\n\n");
}

async function bench(options: Options, cleanup: Cleanup, signal: AbortSignal): Promise<void> {
  const commit = await describeCommit(project);
  const scratch = await makeScratch(cleanup);
  const suffix = basename(dirname(scratch)).slice(-6);
  const image = await makeProbeImage();
  const server = await startBerth({ cleanup, scratch, project, suffix, image, subnets: freeSubnets(1) });
  const versions = await Promise.all(FOREIGN.map((name) => versionOf(name)));
  const installed = FOREIGN.filter((_, index) => versions[index] !== null);
  const pairs = ["native", ...installed].map((handler): Pair => {
    const of = (userNamespace: boolean) =>
      server.engineOf(`${handler}${userNamespace ? ", mapped" : ""}`, { handler, userNamespace });
    return { handler, without: of(false), with: of(true) };
  });
  const before = load();
  const samples = new Samples();
  for (let round = -WARM_UP_ROUNDS; round < options.runs; round++) {
    const rounds = new Rounds(round < 0 ? new Samples() : samples, options.pauseMs, signal);
    for (const pair of pairs) {
      // Who comes first changes, so that neither always follows the other.
      const engines = round % 2 === 0 ? [pair.without, pair.with] : [pair.with, pair.without];
      for (const network of ["host", "bridge"] as const) {
        for (const engine of engines) await rounds.cri(engine, network);
      }
    }
    process.stderr.write(round < 0 ? "." : `\rround ${round + 1} of ${options.runs} `);
  }
  process.stderr.write("\n");
  const date = new Date().toISOString().slice(0, 16).replace("T", " ");
  const section = report(samples, pairs, [
    `${date} UTC; ${describeMachine()}; load before ${before}, after ${load()}.`,
    `berth ${commit}; ${versions.filter((version) => version !== null).join("; ")}.`,
    `${options.runs} rounds after ${WARM_UP_ROUNDS} that do not count, taking turns; ${options.pauseMs} ms ` +
      "of pause before each timed call. Timed by a gRPC client (grpc-js) around each call; root file " +
      "systems on a fresh ext4 in a loop file, whose ids are mapped by one mount per container.",
    ...(Number(before) > cpus().length ? [BUSY] : []),
  ]);
  console.log(section);
  if (options.out !== "-") writeSection(options.out, "userns", section);
}

await runBench(USAGE, readOptions, bench);
