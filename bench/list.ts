// `npm run bench -- list`: how long the List calls of a daemon with many ended containers take, how long they
// hold up its event loop and what other calls see of it, and what the rows weigh. The rows are written into
// the database before the daemon starts.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { RuntimeServiceService as cri } from "../src/gen/runtime/v1/api.ts";
import { openStore } from "../src/store/open.ts";
import { makeProbeImage } from "../test/images/recipes.ts";
import { fill } from "./list/fill.ts";
import { type LoopDelays, WatchedLoop } from "./list/loop.ts";
import { type ListFigures, reportList } from "./list/report.ts";
import { type Cleanup, runBench } from "./run/cleanup.ts";
import { describeCommit, load } from "./run/machine.ts";
import { pssKiB } from "./run/memory.ts";
import { writeSection } from "./run/results-file.ts";
import { Samples } from "./run/samples.ts";
import { makeScratch } from "./run/scratch.ts";
import type { Setting } from "./run/setting.ts";
import { type LaunchedBerth, launchBerth } from "./subjects/berth-server.ts";
import { CriClient } from "./subjects/cri-client.ts";
import { freeSubnets } from "./subjects/host-parts.ts";

const USAGE = `Usage: npm run bench -- list [options]

  --containers N  ended containers, each in a pod of its own (2000)
  --runs N        calls that count (50)
  --bundle FILE   measure this daemon instead of out/berthd.mjs
  --out FILE      where the section goes (bench/RESULTS.md); "-" prints it only
`;

const project = dirname(import.meta.dirname);
/** Recovery goes on behind the first answers. */
const RECOVERY_MS = 5_000;

function readOptions() {
  const { values } = parseArgs({
    options: {
      containers: { type: "string", default: "2000" },
      runs: { type: "string", default: "50" },
      bundle: { type: "string", default: join(project, "out/berthd.mjs") },
      out: { type: "string", default: join(project, "bench/RESULTS.md") },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  return { ...values, containers: Number(values.containers), runs: Number(values.runs) };
}

type Options = ReturnType<typeof readOptions>;

const LISTS = ["listContainers", "listPodSandbox", "listContainerStats", "listPodSandboxMetrics"] as const;
type List = (typeof LISTS)[number];

/** The answer as bytes: the decoding is the client's own time. */
function ask(client: CriClient, list: List): Promise<Buffer> {
  return client.call(
    { ...cri[list as "listContainers"], responseDeserialize: (bytes: Buffer) => bytes },
    { filter: undefined },
  );
}

/** An empty daemon, for what it weighs. */
async function idlePss(setting: Setting, bundle: string): Promise<number> {
  const { pid } = await launchBerth({ ...setting, suffix: `${setting.suffix.slice(1)}0` }, { bundle });
  await sleep(RECOVERY_MS);
  return pssKiB(pid);
}

async function measureLists(client: CriClient, loop: WatchedLoop, runs: number) {
  const samples = new Samples();
  const sizes = new Map<string, number>();
  const delays = new Map<string, LoopDelays>();
  for (const list of LISTS) {
    await loop.delays();
    const first = await samples.time("first", list, () => ask(client, list));
    sizes.set(list, first.length);
    delays.set(`first ${list}`, await loop.delays());
    for (let run = 0; run < runs; run++) {
      await samples.time("later", list, () => ask(client, list));
      await sleep(10);
    }
    delays.set(list, await loop.delays());
  }
  return { samples, sizes, delays };
}

/** Status and ExecSync, alone and while somebody else lists without pause. */
async function measureBeside(
  server: LaunchedBerth,
  client: CriClient,
  loop: WatchedLoop,
  runs: number,
  cleanup: Cleanup,
) {
  const samples = new Samples();
  const delays = new Map<string, LoopDelays>();
  const pod = await server.engine.runPod("host");
  cleanup.add("remove the pod", async () => {
    await server.engine.stopPod(pod.id);
    await server.engine.removePod(pod.id);
  });
  const container = await server.engine.createContainer(pod, "sleep");
  await server.engine.startContainer(container);
  for (const list of [undefined, ...LISTS.slice(0, 2)]) {
    const lister = list === undefined ? undefined : startLister(server.socket, list);
    if (lister !== undefined) await sleep(1_500);
    await loop.delays();
    const beside = list ?? "nothing";
    for (let run = 0; run < runs; run++) {
      await samples.time(beside, "Status", () => client.call(cri.status, { verbose: false }));
      await samples.time(beside, "ExecSync", () => server.engine.execTrue(container));
      await sleep(10);
    }
    delays.set(beside, await loop.delays());
    if (lister !== undefined) await end(lister);
  }
  return { samples, delays };
}

function startLister(socket: string, list: List): ChildProcess {
  const program = join(import.meta.dirname, "list/call-in-a-loop.ts");
  return spawn(process.execPath, [program, socket, list], { stdio: "inherit" });
}

async function end(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
}

async function bench(options: Options, cleanup: Cleanup): Promise<void> {
  const commit = await describeCommit(project);
  const scratch = await makeScratch(cleanup);
  const suffix = basename(dirname(scratch)).slice(-6);
  const subnets = freeSubnets(1);
  const setting = { cleanup, scratch, project, suffix, image: await makeProbeImage(), subnets };
  const before = load();
  const idle = await idlePss(setting, options.bundle);
  const loop = new WatchedLoop(scratch);
  const server = await launchBerth(setting, {
    bundle: options.bundle,
    nodeOptions: loop.nodeOptions,
    env: loop.env,
    prepare: (root) => {
      mkdirSync(root, { recursive: true });
      const store = openStore(join(root, "berth.db"));
      fill(store, options.containers);
      store.close();
    },
  });
  loop.pid = server.pid;
  const client = new CriClient(server.socket);
  cleanup.add("close the connection of the bench", () => client.close());
  const untilReady = await loop.delays();
  await sleep(RECOVERY_MS);
  const recovering = await loop.delays();
  const pss = { idle, started: pssKiB(server.pid), listed: 0 };
  const lists = await measureLists(client, loop, options.runs);
  await sleep(1_000);
  pss.listed = pssKiB(server.pid);
  await server.loadImage();
  const beside = await measureBeside(server, client, loop, options.runs, cleanup);
  const loads = [before, load()];
  const figures: ListFigures = {
    ...options,
    commit,
    loads,
    untilReady,
    recovering,
    recoverySeconds: RECOVERY_MS / 1_000,
    pss,
    lists,
    beside,
  };
  const text = reportList(figures);
  process.stdout.write(`${text}\n`);
  if (options.out !== "-") writeSection(options.out, "list", text);
}

await runBench(USAGE, readOptions, bench);
