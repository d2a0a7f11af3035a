// The daemon kills itself at every named step of what it does with an external runtime and with hooks.
// Started again, it leaks neither bundles nor runtime state, cgroups or mounts, and the request succeeds.

import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { NamespaceMode } from "../../src/gen/runtime/v1/api.ts";
import type { Daemon } from "./daemon.ts";
import { dieAtEveryStep } from "./support/die-at-every-step.ts";
import { PROBE, STATE, Stage } from "./support/stage.ts";

const FOLDER = mkdtempSync("/tmp/berth-e2e-hooks-");
/** A root of the runtime's own, which berth must leave as it was. */
const ROOT = join(FOLDER, "crun");
const TOML = `[handlers.crun]\npath = "/usr/bin/crun"\nroot = "${ROOT}"`;

let stage: Stage;
let daemon: Daemon;

beforeAll(async () => {
  mkdirSync(ROOT);
  stage = await Stage.make([PROBE], [], { toml: TOML, head: `hooks_dirs = ["${FOLDER}"]` });
  daemon = stage.daemon;
  const hook = { path: "/bin/sh", args: ["sh", "-c", "cat > /dev/null"] };
  const when = { annotations: { "^hooked$": "" } };
  const file = {
    version: "1.0.0",
    hook,
    when,
    stages: ["createRuntime", "createContainer", "poststart", "poststop"],
  };
  writeFileSync(join(FOLDER, "hook.json"), JSON.stringify(file));
  await daemon.stop("SIGKILL");
});
afterAll(async () => {
  await daemon.restart();
  await stage.remove();
  rmSync(FOLDER, { recursive: true, force: true });
});

afterEach(async () => {
  await daemon.restart();
  await clear();
  await daemon.stop("SIGKILL");
});

interface Subject {
  readonly pod: string;
  readonly container: string;
}

interface Scenario {
  readonly verb: string;
  prepare(handler: string): Promise<Subject>;
  request(subject: Subject): Promise<unknown>;
}

const HOOKED = { annotations: { hooked: "yes" } };
const RANGE = [{ containerId: 0, hostId: 700_000, length: 65_536 }];
const USERNS = { mode: NamespaceMode.POD, uids: RANGE, gids: RANGE };
/** "crun, mapped" is crun in a pod with a user namespace. */
const runPod = (subject: string) => {
  const [handler, mapped] = subject.split(", ");
  const linux =
    mapped === undefined ? {} : { securityContext: { namespaceOptions: { usernsOptions: USERNS } } };
  return stage.runPod("subject", { linux }, handler);
};
const create = (pod: string) => stage.create(pod, "c", PROBE, ["/probe", "sleep"], HOOKED);
async function running(handler: string): Promise<Subject> {
  const pod = await runPod(handler);
  return { pod, container: await stage.run(pod, "c", PROBE, ["/probe", "sleep"], HOOKED) };
}

const SCENARIOS: Scenario[] = [
  {
    verb: "CreateContainer",
    prepare: async (handler) => ({ pod: await runPod(handler), container: "" }),
    request: ({ pod }) => create(pod),
  },
  {
    verb: "StartContainer",
    async prepare(handler) {
      const pod = await runPod(handler);
      return { pod, container: await create(pod) };
    },
    request: ({ container: containerId }) => daemon.ask("startContainer", { containerId }),
  },
  {
    verb: "StopContainer",
    prepare: running,
    request: ({ container: containerId }) => daemon.ask("stopContainer", { containerId, timeout: 10n }),
  },
  {
    verb: "RemoveContainer",
    prepare: running,
    request: ({ container: containerId }) => daemon.ask("removeContainer", { containerId }),
  },
  {
    verb: "StopPodSandbox",
    prepare: running,
    request: ({ pod: podSandboxId }) => daemon.ask("stopPodSandbox", { podSandboxId }),
  },
];

async function clear(): Promise<void> {
  const { items } = await daemon.ask<{ items: { id: string }[] }>("listPodSandbox", {});
  for (const { id } of items) await stage.removePod(id);
}

/** The container is in a state that it can be in, and does what it should in it. */
async function check(): Promise<void> {
  const { containers } = await daemon.ask<{ containers: { id: string; state: number }[] }>(
    "listContainers",
    {},
  );
  for (const { id, state } of containers) {
    if (state === STATE.RUNNING) expect((await stage.exec(id, "/probe", "exit", "3")).code).toBe(3);
    else expect([STATE.CREATED, STATE.EXITED]).toContain(state);
  }
}

const PAIRS = ["crun", "native", "crun, mapped", "native, mapped"].flatMap((handler) =>
  SCENARIOS.map(({ verb }) => [handler, verb] as const),
);

test.each(PAIRS)("%s: %s", async (handler, verb) => {
  const scenario = SCENARIOS.find((one) => one.verb === verb) as Scenario;
  const points = await dieAtEveryStep(daemon, {
    verb,
    prepare: () => scenario.prepare(handler),
    request: scenario.request,
    recovered: check,
    done: check,
    async clear() {
      await clear();
      expect(readdirSync(join(daemon.scratch.state, "o"))).toEqual([]);
      expect(readdirSync(ROOT)).toEqual([]);
    },
  });
  expect(points.length).toBeGreaterThan(1);
  if (verb === "CreateContainer") expect(points).toContain("CreateContainer/bundle/after");
});
