// `npm run bench -- pull`: what it takes to pull images from a local registry, beside Debian's containerd and
// podman when they are installed, and beside a C++ program that only inflates, hashes and writes files.

import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { startRegistry, type TestRegistry } from "../test/images/registry.ts";
import { type BenchImage, makeBenchImages } from "./pull/images.ts";
import { type PullReport, reportPull, workOf } from "./pull/report.ts";
import {
  berthSubject,
  containerdSubject,
  floorSubject,
  type PullSubject,
  podmanSubject,
} from "./pull/subjects.ts";
import { Cleanup, runBench } from "./run/cleanup.ts";
import { describeCommit, describeMachine, load } from "./run/machine.ts";
import { writeSection } from "./run/results-file.ts";
import { Samples } from "./run/samples.ts";
import { makeScratch } from "./run/scratch.ts";

const USAGE = `Usage: npm run bench -- pull [options]

  --runs N        rounds (4); every subject pulls every image in each
  --scale SHARE   size of the images (1)
  --images LIST   of realistic,large,small (all of them)
  --no-peers      berth and the floor alone
  --out FILE      where the section goes (bench/RESULTS.md); "-" prints it only
  --quick         one round, a tenth of the size, printed only
`;

const project = dirname(import.meta.dirname);

function readOptions() {
  const { values } = parseArgs({
    options: {
      runs: { type: "string" },
      scale: { type: "string" },
      images: { type: "string", default: "realistic,large,small" },
      out: { type: "string" },
      "no-peers": { type: "boolean", default: false },
      quick: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const runs = Number(values.runs ?? (values.quick ? 1 : 4));
  const scale = Number(values.scale ?? (values.quick ? 0.1 : 1));
  if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs "${values.runs}": must be at least 1`);
  if (!(scale >= 0.01 && scale <= 2)) throw new Error(`--scale "${values.scale}": must be from 0.01 to 2`);
  const out = values.out ?? (values.quick ? "-" : join(project, "bench/RESULTS.md"));
  const names = values.images.split(",");
  return { help: values.help, runs, scale, names, out, withPeers: !values["no-peers"] };
}

type Options = ReturnType<typeof readOptions>;

async function findSubjects(commit: string, options: Options): Promise<PullSubject[]> {
  const own = [await floorSubject(project), berthSubject(project, commit)];
  if (!options.withPeers) return own;
  const peers = [await containerdSubject(), await podmanSubject()];
  return [...own, ...peers.filter((peer) => peer !== null)];
}

/** One pull on a file system of its own, which is gone afterwards. */
async function pullOnce(subject: PullSubject, image: BenchImage, reference: string, samples: Samples) {
  const cleanup = new Cleanup();
  let problems: string[] = [];
  // What the kernel remembers of other programs' files makes each new file slower: there are small machines
  // whose hash tables are soon too full.
  writeFileSync("/proc/sys/vm/drop_caches", "2");
  try {
    const cost = await subject.pull(cleanup, await makeScratch(cleanup), image, reference);
    for (const [name, value] of Object.entries(cost)) {
      samples.add(subject.name, workOf(image.name, name as keyof typeof cost), value);
    }
    process.stderr.write(`${image.name} ${subject.name} ${cost.readySeconds.toFixed(2)} s\n`);
  } finally {
    problems = await cleanup.run();
  }
  if (problems.length > 0) throw new Error(`clean up after ${subject.name}: ${problems.join("; ")}`);
}

async function pushAll(registry: TestRegistry, images: readonly BenchImage[]): Promise<Map<string, string>> {
  const references = new Map<string, string>();
  for (const image of images) {
    const made = { layout: image.layout, reference: "", archive: "", digest: "", id: "" };
    references.set(image.name, await registry.push(made, `bench/${image.name}:1`));
  }
  return references;
}

const METHOD = [
  "Every pull goes to an empty engine, started on a fresh journaled ext4 in a loop file (with direct " +
    "I/O: no second cache below it), from Debian's docker-registry on the same machine over plain HTTP. " +
    "berth and containerd are asked through the CRI, podman is its command line (`podman pull`), all with " +
    "their default settings.",
  "The kernel's caches of names and inodes are dropped before each pull.",
  "`ready` is when the pull has answered. berth answers when everything is on the disk; containerd and " +
    "podman do not sync the files of images, so the second row adds a sync for everyone. CPU is the whole " +
    "machine's until then: the registry and the kernel's writing threads are in it.",
  "The floor gets the layers as local files, holds whole tars in memory, checks nothing and syncs nothing.",
];

async function bench(options: Options, cleanup: Cleanup, signal: AbortSignal): Promise<void> {
  const subjects = await findSubjects(await describeCommit(project), options);
  const made = await makeBenchImages(project, options.scale);
  const images = made.filter(({ name }) => options.names.includes(name));
  if (images.length === 0) throw new Error(`--images "${options.names.join(",")}": none of these is known`);
  const registry = await startRegistry();
  cleanup.add("stop the registry", () => registry.stop());
  const references = await pushAll(registry, images);
  const samples = new Samples();
  const before = load();
  for (let round = 0; round < options.runs; round++) {
    for (const image of images) {
      for (const subject of subjects) {
        signal.throwIfAborted();
        await pullOnce(subject, image, references.get(image.name) ?? "", samples);
      }
    }
  }
  const date = new Date().toISOString().slice(0, 16).replace("T", " ");
  const report: PullReport = {
    samples,
    subjects: subjects.map(({ name }) => name),
    images,
    facts: [
      `${date} UTC; ${describeMachine()}; load before ${before}, after ${load()}.`,
      `${subjects.map(({ version }) => version).join("; ")}. Medians of ${options.runs}, taking turns.`,
      ...METHOD,
    ],
  };
  const section = reportPull(report);
  console.log(section);
  if (options.out !== "-") writeSection(options.out, "pull", section);
}

await runBench(USAGE, readOptions, bench);
