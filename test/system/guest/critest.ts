// The validation suite of the CRI inside the machine: with AppArmor and every controller. The machine has no
// network, so that a registry of its own stands in for those that the suite pulls from.

import { strict as assert } from "node:assert";
import { spawn } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { exceptionsOn, keptOut, thisHost } from "../../critest/exceptions.ts";
import { runSuite } from "../../critest/run.ts";
import {
  type Check,
  daemonAnswers,
  eventually,
  INSTALLED,
  read,
  removeAll,
  run,
  say,
  traces,
  tryRun,
} from "./support.ts";

/** The check that runs it. */
export const SUITE = "the validation suite comes to its end";

const SOCKET = "/run/berth/berth.sock";
/** Where Linux 6.1 can map ids, which the suite looks for: on a tmpfs such as /run it cannot. */
const STATE = "/var/lib/berth-state";
const CONFIG = "/etc/berth/berth.toml";
const REGISTRY = "127.0.0.1:5000";
const REGISTRY_PROBE = ": > /dev/tcp/127.0.0.1/5000";
const HOSTS = ["registry.k8s.io", "k8s.gcr.io", "gcr.io"];
/** As many as the machine has CPUs. */
const PARALLEL = 2;
const PATIENCE_MS = 15 * 60_000;
const OUTPUT_CHARACTERS = 4_000;

function registryConfig(): string {
  return `version: 0.1
log: { level: warn, accesslog: { disabled: true } }
storage:
  filesystem: { rootdirectory: "${join(INSTALLED, "registry")}" }
  maintenance: { readonly: { enabled: true } }
http: { addr: "${REGISTRY}" }
`;
}

async function withRegistry(work: () => Promise<void>): Promise<void> {
  const config = "/run/registry.yml";
  writeFileSync(config, registryConfig());
  const registry = spawn("docker-registry", ["serve", config], { stdio: "ignore" });
  try {
    await eventually("the registry answers", () => tryRun("bash", "-c", REGISTRY_PROBE).code === 0);
    await work();
  } finally {
    registry.kill("SIGKILL");
  }
}

async function withMirrors(work: () => Promise<void>): Promise<void> {
  const tables = HOSTS.map((host) => `[registry.hosts."${host}"]\nmirrors = ["http://${REGISTRY}"]\n`);
  mkdirSync("/etc/berth", { recursive: true });
  writeFileSync(CONFIG, [`state = "${STATE}"`, `socket = "${SOCKET}"`, ...tables].join("\n"));
  try {
    await restart();
    await work();
  } finally {
    rmSync(CONFIG);
    await restart();
  }
}

async function restart(): Promise<void> {
  run("systemctl", "restart", "berthd.service");
  await eventually("the daemon answers", daemonAnswers);
}

async function runSpecs(): Promise<void> {
  const { specs } = await runSuite({
    critest: join(INSTALLED, "tools/critest"),
    socket: SOCKET,
    parallel: PARALLEL,
    skip: keptOut(exceptionsOn(thisHost())),
    patienceMs: PATIENCE_MS,
  });
  for (const spec of specs) say({ spec: { ...spec, output: spec.output.slice(-OUTPUT_CHARACTERS) } });
}

let before: string[] = [];

export const checks: readonly Check[] = [
  {
    name: "the machine has what the validation suite needs: AppArmor, and the memory controller",
    run() {
      assert.deepEqual(thisHost(), { appArmor: true, memoryController: true });
      assert.ok(read("/sys/kernel/security/apparmor/features/domain/change_onexec").startsWith("yes"));
      run("apparmor_parser", "--version");
      before = traces();
    },
  },
  { name: SUITE, run: () => withRegistry(() => withMirrors(runSpecs)) },
  {
    name: "the validation suite leaves nothing behind once its pods are removed",
    run() {
      const endpoint = `unix://${SOCKET}`;
      run(join(INSTALLED, "tools/crictl"), "-r", endpoint, "-t", "60s", "rmp", "-f", "-a");
      return removeAll(before);
    },
  },
];
