// `npm run bench -- list`: how long the List calls of a daemon with many ended containers take, and how long
// they hold up another call. The rows are written into its database before it starts.

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { RuntimeServiceService as cri } from "../src/gen/runtime/v1/api.ts";
import { openStore } from "../src/store/open.ts";
import { fill } from "./list/fill.ts";
import { describeCommit, describeMachine } from "./run/machine.ts";
import { writeSection } from "./run/results-file.ts";
import { Samples } from "./run/samples.ts";
import { CriClient } from "./subjects/cri-client.ts";

const USAGE = `Usage: npm run bench -- list [options]

  --containers N  ended containers, each in a pod of its own (2000)
  --runs N        calls that count (50)
  --out FILE      where the section goes (bench/RESULTS.md); "-" prints it only
`;

const project = dirname(import.meta.dirname);

async function measure(
  socket: string,
  runs: number,
): Promise<{ samples: Samples; sizes: Map<string, number> }> {
  const client = new CriClient(socket);
  const samples = new Samples();
  const sizes = new Map<string, number>();
  // As bytes: the decoding is the client's own time.
  const raw = { responseDeserialize: (bytes: Buffer) => bytes };
  const filter = undefined;
  const lists = {
    ListContainers: () => client.call({ ...cri.listContainers, ...raw }, { filter }),
    ListPodSandbox: () => client.call({ ...cri.listPodSandbox, ...raw }, { filter }),
    ListContainerStats: () => client.call({ ...cri.listContainerStats, ...raw }, { filter }),
  };
  for (const [name, list] of Object.entries(lists)) {
    await samples.time("first", name, list);
    for (let run = 0; run < runs; run++) {
      await samples.time("later", name, list);
      await sleep(20);
      const listing = list();
      await samples.time("Version meanwhile", name, () => client.call(cri.version, { version: "" }));
      await listing;
    }
  }
  for (const [name, list] of Object.entries(lists)) sizes.set(name, (await list()).length);
  client.close();
  return { samples, sizes };
}

async function report(
  { samples, sizes }: Awaited<ReturnType<typeof measure>>,
  containers: number,
  runs: number,
): Promise<string> {
  const ms = (value: number | undefined) => (value === undefined ? "–" : `${value.toFixed(1)} ms`);
  const rows = ["ListContainers", "ListPodSandbox", "ListContainerStats"].map((name) => {
    const size = sizes.get(name);
    const cells = [
      ms(samples.median("first", name)),
      ms(samples.median("later", name)),
      ms(samples.quantile("later", name, 0.99)),
      ms(samples.median("Version meanwhile", name)),
      size === undefined ? "–" : `${(size / 1024 ** 2).toFixed(1)} MiB`,
    ];
    return `| ${name} | ${cells.join(" | ")} |`;
  });
  return [
    "## Lists",
    "",
    `${containers} ended containers in as many pods; ${runs} calls, without the decoding in the client. ` +
      "The last column but one is another call that was made at the same time.",
    "",
    describeMachine(),
    "",
    `berth ${await describeCommit(project)}`,
    "",
    "| call | first | median | 99 % | Version meanwhile | answer |",
    "|---|---|---|---|---|---|",
    ...rows,
  ].join("\n");
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      containers: { type: "string", default: "2000" },
      runs: { type: "string", default: "50" },
      out: { type: "string", default: join(project, "bench/RESULTS.md") },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return void process.stdout.write(USAGE);
  const [containers, runs] = [Number(values.containers), Number(values.runs)];
  const folder = mkdtempSync(join(tmpdir(), "berth-bench-list-"));
  const [root, state, socket] = ["root", "state", "berth.sock"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  mkdirSync(root);
  writeFileSync(join(folder, "berth.toml"), `[network]\ncni_conf_dir = "${folder}"\n`);
  const store = openStore(join(root, "berth.db"));
  fill(store, containers);
  store.close();
  const args = ["--config", join(folder, "berth.toml"), "--root", root, "--state", state, "--socket", socket];
  const child = spawn(process.execPath, [join(project, "out/berthd.mjs"), ...args], { stdio: "inherit" });
  try {
    while (!existsSync(socket)) await sleep(20);
    const text = await report(await measure(socket, runs), containers, runs);
    process.stdout.write(`${text}\n`);
    if (values.out !== "-") writeSection(values.out, "list", text);
  } finally {
    child.kill("SIGTERM");
    await new Promise((resolve) => child.once("exit", resolve));
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
