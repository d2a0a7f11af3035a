// `npm run quickstart`: from a fresh Debian 12 to a first container, and nothing left behind. Installs what
// is missing, builds, starts a daemon on scratch directories, runs the probe in a container from an image
// that the build itself makes, prints what it saw and how long each phase took.

import { join } from "node:path";
import { projectNode, projectRoot, run } from "./lib/run.mjs";
import { showNext, showReport, showTimes } from "./quickstart/show.mjs";
import { berth, planTrial, removeContainers, removeTrial, startDaemon } from "./quickstart/trial.mjs";
import { setup } from "./setup.mjs";

/** Runs `step` and adds its duration to `phases`. */
async function timed(phases, name, step, remark) {
  const started = performance.now();
  const result = await step();
  phases.push([name, performance.now() - started, remark]);
  return result;
}

async function makeImage() {
  const args = [join(projectRoot, "test/images/make.ts"), "probe"];
  return JSON.parse((await run(projectNode(), args, { quiet: true })).stdout);
}

const inspect = async (trial, type, name) =>
  JSON.parse(await berth(trial, "inspect", "--type", type, name))[0];

/** The daemon's own times of the first container, finer than what starting the command line shows. */
async function phasesOf(trial, name) {
  const container = await inspect(trial, "container", name);
  const pod = await inspect(trial, "pod", container.Pod.Id);
  const [asked, created, started] = [pod.Created, container.Created, container.State.StartedAt].map(
    Date.parse,
  );
  return { pod, podUpMs: created - asked, startMs: started - created };
}

async function runContainers(trial, image, phases, netns) {
  trial.containers = ["first", "second"];
  await timed(phases, "load image", () => berth(trial, "load", "-i", image.archive));
  const first = ["run", "--name", "first", image.reference, "report", "--json"];
  const output = await timed(
    phases,
    "first container",
    () => berth(trial, ...first),
    "berth run, to its exit",
  );
  const { pod, podUpMs, startMs } = await phasesOf(trial, "first");
  netns.push(pod.Network.Namespace);
  phases.push(["  pod up", podUpMs, "network, namespaces, monitor"]);
  phases.push(["  container create, start", startMs]);
  const second = ["run", "-d", "--name", "second", image.reference, "sleep"];
  await timed(phases, "second container", () => berth(trial, ...second), "berth run -d");
  netns.push((await phasesOf(trial, "second")).pod.Network.Namespace);
  await timed(phases, "exec", () => berth(trial, "exec", "second", "/probe", "report"));
  const table = await berth(trial, "ps", "-a");
  await timed(phases, "remove both", () => removeContainers(trial));
  return { report: JSON.parse(output), table };
}

/** Rejects at the first signal, so that the clean-up runs; later ones do not disturb it. */
function interrupted() {
  const promise = new Promise((_, reject) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
      process.on(signal, () => reject(new Error(`interrupted by ${signal}`)));
    }
  });
  // Nobody may be waiting yet.
  promise.catch(() => {});
  return promise;
}

async function main() {
  if (process.getuid() !== 0) throw new Error("containers need root; run: sudo npm run quickstart");
  const phases = [];
  const { setupMs, buildMs } = await setup();
  phases.push(["set-up", setupMs, "Debian packages, npm modules (npm builds addon and monitor)"]);
  const image = await timed(
    phases,
    "build",
    makeImage,
    "what has changed of addon and monitor, bundles, image",
  );
  phases[1][1] += buildMs;
  const trial = planTrial();
  const interruption = interrupted();
  const netns = [];
  let result;
  try {
    await timed(phases, "daemon ready", () => startDaemon(trial));
    result = await Promise.race([interruption, runContainers(trial, image, phases, netns)]);
  } finally {
    const started = performance.now();
    const problems = await removeTrial(trial, netns);
    phases.push(["clean up", performance.now() - started]);
    for (const problem of problems) console.error(`quickstart: clean up: ${problem}`);
    if (problems.length > 0) process.exitCode = 1;
  }
  showReport(result.report);
  console.log(`\n${result.table.trimEnd()}`);
  showTimes(phases);
  if (process.exitCode === undefined) console.log("\nAll that was started has been stopped and removed.");
  showNext();
}

main().catch((error) => {
  console.error(`quickstart: ${error.message}`);
  process.exitCode = 1;
});
