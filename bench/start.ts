// `npm run bench -- start`: how long pods, containers and execs take, and what they weigh, beside Debian's
// runc and crun, and containerd when it is installed. All subjects take turns within one run.

import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { makeProbeImage } from "../test/images/recipes.ts";
import { type Cleanup, runBench } from "./run/cleanup.ts";
import { describeCommit, describeMachine, load } from "./run/machine.ts";
import { writeSection } from "./run/results-file.ts";
import { Samples } from "./run/samples.ts";
import { makeScratch } from "./run/scratch.ts";
import type { Setting } from "./run/setting.ts";
import { type MemoryPoint, measureMemory } from "./start/memory.ts";
import { reportStart } from "./start/report.ts";
import { Rounds } from "./start/rounds.ts";
import { type BerthServer, startBerth } from "./subjects/berth-server.ts";
import { type ContainerdServer, startContainerd } from "./subjects/containerd-server.ts";
import { freeSubnets } from "./subjects/host-parts.ts";
import { type OciRuntime, setUpRuntime } from "./subjects/oci-runtime.ts";

const USAGE = `Usage: npm run bench -- start [options]

  --runs N      rounds that count (20)
  --pods N      measure memory at this many pods too, beside 1 and 10
  --pause MS    pause before each timed call (20)
  --no-peers    berth alone
  --out FILE    where the section goes (bench/RESULTS.md); "-" prints it only
  --quick       5 rounds, memory at 1 and 3 pods
`;

const WARM_UP_ROUNDS = 2;
const project = dirname(import.meta.dirname);

function positive(text: string, option: string, least = 1): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least) return value;
  throw new Error(`${option} "${text}": must be a whole number from ${least} on`);
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      runs: { type: "string" },
      pods: { type: "string" },
      pause: { type: "string", default: "20" },
      out: { type: "string", default: join(project, "bench/RESULTS.md") },
      "no-peers": { type: "boolean", default: false },
      quick: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const counts = new Set(values.quick ? [1, 3] : [1, 10]);
  if (values.pods !== undefined) counts.add(positive(values.pods, "--pods"));
  return {
    help: values.help,
    runs: values.runs === undefined ? (values.quick ? 5 : 20) : positive(values.runs, "--runs"),
    counts: [...counts].sort((left, right) => left - right),
    pauseMs: positive(values.pause, "--pause", 0),
    out: values.out,
    withPeers: !values["no-peers"],
  };
}

type Options = ReturnType<typeof readOptions>;

interface Subjects {
  readonly berth: BerthServer;
  readonly containerd: ContainerdServer | null;
  readonly runtimes: readonly OciRuntime[];
}

async function setUp(cleanup: Cleanup, options: Options): Promise<Subjects> {
  const scratch = await makeScratch(cleanup);
  const setting: Setting = {
    cleanup,
    scratch,
    project,
    suffix: basename(dirname(scratch)).slice(-6),
    image: await makeProbeImage(),
    subnets: freeSubnets(2),
  };
  const berth = await startBerth(setting);
  if (!options.withPeers) return { berth, containerd: null, runtimes: [] };
  const runtimes = [await setUpRuntime(setting, "crun"), await setUpRuntime(setting, "runc")];
  return {
    berth,
    containerd: await startContainerd(setting),
    runtimes: runtimes.filter((runtime) => runtime !== null),
  };
}

async function runRounds(subjects: Subjects, options: Options, signal: AbortSignal): Promise<Samples> {
  const samples = new Samples();
  for (let round = -WARM_UP_ROUNDS; round < options.runs; round++) {
    const rounds = new Rounds(round < 0 ? new Samples() : samples, options.pauseMs, signal);
    const engines = [subjects.berth.engine, subjects.containerd?.engine].filter(
      (engine) => engine !== undefined,
    );
    for (const network of ["host", "bridge"] as const) {
      for (const engine of engines) await rounds.cri(engine, network);
    }
    for (const runtime of subjects.runtimes) await rounds.oci(runtime);
    process.stderr.write(round < 0 ? "." : `\rround ${round + 1} of ${options.runs} `);
  }
  process.stderr.write("\n");
  return samples;
}

async function runMemory({ berth, containerd }: Subjects, counts: readonly number[], signal: AbortSignal) {
  const memory = new Map<string, readonly MemoryPoint[]>();
  const monitors = async (ids: readonly string[]) => {
    const infos = await Promise.all(ids.map((id) => berth.engine.podInfo(id)));
    return infos.map(({ pid }) => pid ?? 0);
  };
  memory.set("berth", await measureMemory(berth.engine, berth.pid, monitors, counts, signal));
  if (containerd === null) return memory;
  const overhead = () => containerd.overhead();
  memory.set("containerd", await measureMemory(containerd.engine, containerd.pid, overhead, counts, signal));
  return memory;
}

/** How it was measured, whatever the options. */
const METHOD = [
  "Everything of every subject lies on a fresh journaled ext4 in a loop file. The program is the static " +
    "test probe (`sleep`, and `exit 0` as `true`); a default seccomp profile is on everywhere.",
  "berth and containerd are timed by a gRPC client (grpc-js) around each call. runc and crun are timed by " +
    "a small shell around the whole process, as an engine would start it.",
  "The bare runtimes get a ready directory as root file system, the host's network, and berth's default " +
    "profile as JSON (crun keeps it compiled from one run to the next); they write no log. berth's and " +
    "containerd's containers come with an overlay, a log file, a database row and a supervisor. " +
    "`exit seen` is found out by asking for the status every millisecond.",
  'Cgroups: "v1 only" and "v2 only" are private mount namespaces on a host that mounts both. crun refuses ' +
    "both at once, and containerd wants controllers that v2 lacks on such a host. berth uses v2.",
  "A pod on a bridge includes what the network takes. PSS counts shared pages in part.",
];

function facts(subjects: Subjects, options: Options, commit: string, loads: readonly string[]): string[] {
  const { containerd, runtimes } = subjects;
  const versions = runtimes.map(({ version, view }) => `${version} (cgroups: ${view})`);
  if (containerd !== null) versions.push(`${containerd.version} (cgroups: ${containerd.view})`);
  const date = new Date().toISOString().slice(0, 16).replace("T", " ");
  return [
    `${date} UTC; ${describeMachine()}; load before ${loads[0]}, after ${loads[1]}.`,
    `berth ${commit}; peers: ${versions.length === 0 ? "none" : versions.join("; ")}.`,
    `${options.runs} rounds after ${WARM_UP_ROUNDS} that do not count; every subject has its turn in each. ` +
      `${options.pauseMs} ms of pause before each timed call, none within a row and in "in a row".`,
    ...METHOD,
  ];
}

async function bench(options: Options, cleanup: Cleanup, signal: AbortSignal): Promise<void> {
  const commit = await describeCommit(project);
  const subjects = await setUp(cleanup, options);
  signal.throwIfAborted();
  const before = load();
  // Idle memory is that of a daemon that did nothing yet; so memory comes first.
  const memory = await runMemory(subjects, options.counts, signal);
  await sleep(options.pauseMs);
  const samples = await runRounds(subjects, options, signal);
  const names = subjects.containerd === null ? [] : ["containerd"];
  const section = reportStart({
    samples,
    subjects: ["berth", ...subjects.runtimes.map(({ name }) => name), ...names],
    memory,
    facts: facts(subjects, options, commit, [before, load()]),
  });
  console.log(section);
  if (options.out !== "-") writeSection(options.out, "start", section);
}

await runBench(USAGE, readOptions, bench);
