// The daemon dies before and after every step of every verb. A new one recovers, the client goes on where
// it was, and in the end nothing is left.

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { stateOfContainer } from "../../../src/containers/container-lifecycle.ts";
import { createContainer } from "../../../src/containers/create-container.ts";
import { removeContainer } from "../../../src/containers/remove-container.ts";
import { startContainer } from "../../../src/containers/start-container.ts";
import { stopContainer } from "../../../src/containers/stop-container.ts";
import type { Call } from "../../../src/lib/call.ts";
import { makePodDeps, type PodDeps } from "../../../src/pods/deps.ts";
import { removePodSandbox } from "../../../src/pods/remove-pod-sandbox.ts";
import { runPodSandbox } from "../../../src/pods/run-pod-sandbox.ts";
import { stopPodSandbox } from "../../../src/pods/stop-pod-sandbox.ts";
import { Reconciler } from "../../../src/reconcile/reconcile.ts";
import { findContainer } from "../../../src/store/containers.ts";
import type { Store } from "../../../src/store/open.ts";
import { findPod } from "../../../src/store/pods.ts";
import { containerConfig, makeCall, makeWorld, podConfig, type World } from "../containers/world.ts";
import { allContainers, allPods } from "../support/all-rows.ts";

/** One life of the daemon: after its death nothing that it still runs has any effect. */
class Life {
  readonly deps: PodDeps;
  readonly call: Call;
  readonly points: string[] = [];
  dead = false;

  constructor(world: World, crashAt: string) {
    const guard = <T extends object>(target: T): T =>
      new Proxy(target, {
        get: (of, property) => {
          if (this.dead) throw new Error("the daemon is dead");
          const value = Reflect.get(of, property, of) as unknown;
          return typeof value === "function" ? value.bind(of) : value;
        },
      });
    this.deps = makePodDeps({
      ...world.deps,
      store: guard<Store>(world.deps.store),
      kernel: guard(world.deps.kernel),
      network: guard(world.deps.network),
      monitorDriver: guard(world.deps.monitorDriver),
      events: () => {},
      readImageFile: async () => null,
    });
    this.call = makeCall((verb, step, when) => {
      const point = `${verb}/${step}/${when}`;
      this.points.push(point);
      if (point !== crashAt) return;
      this.dead = true;
      throw new Error("killed");
    });
  }
}

interface Progress {
  podId: string;
  id: string;
  done: number;
}

/** What the client wants, in order; each is repeated until it works. */
const SCENARIO: ((life: Life, at: Progress) => Promise<void>)[] = [
  async ({ deps, call }, at) => {
    at.podId = await runPodSandbox(deps, call, { config: podConfig(), handler: "" });
  },
  async ({ deps, call }, at) => {
    at.id = await createContainer(deps, call, { podId: at.podId, config: containerConfig() });
  },
  async ({ deps, call }, at) => {
    const row = findContainer(deps.store, at.id);
    if (row !== null && stateOfContainer(row) === "CREATED") await startContainer(deps, call, at.id);
  },
  async ({ deps }, at) => {
    const row = findContainer(deps.store, at.id);
    expect(row === null ? null : stateOfContainer(row)).toBe("RUNNING");
  },
  async ({ deps, call }, at) => await stopContainer(deps, call, at.id, 1),
  async ({ deps }, at) => {
    expect(findContainer(deps.store, at.id)).toMatchObject({ exitCode: 137, signal: 9 });
  },
  async ({ deps, call }, at) => await removeContainer(deps, call, at.id),
  async ({ deps, call }, at) => {
    const config = containerConfig({ metadata: { name: "second", attempt: 0 } });
    at.id = await createContainer(deps, call, { podId: at.podId, config });
  },
  async ({ deps, call }, at) => await stopPodSandbox(deps, call, at.podId),
  async ({ deps }, at) => expect(findPod(deps.store, at.podId)).toMatchObject({ networkHeld: false }),
  async ({ deps, call }, at) => await removePodSandbox(deps, call, at.podId),
];

async function live(life: Life, at: Progress): Promise<void> {
  while (at.done < SCENARIO.length) {
    await SCENARIO[at.done]?.(life, at);
    if (life.dead) throw new Error("killed");
    at.done++;
  }
}

/** Killing a cgroup ends the containers in it, and the signal that stops one is deadly. */
function wire(world: World): void {
  const killed = { finishedAt: 99, exitCode: 137, signal: 9, oomKilled: false };
  const kill = (matches: (path: string, pid: number) => boolean) => {
    for (const row of allContainers(world.deps.store)) {
      const process = world.driver.known.get(row.podId)?.get(row.id)?.process;
      if (!matches(row.cgroupPath, process?.pid ?? -1)) continue;
      if (process !== undefined) world.kernel.processes.delete(process.pid);
      world.driver.exit(row.podId, row.id, killed);
    }
  };
  world.kernel.onSignal = ({ pid }) => kill((_path, of) => of === pid);
  world.kernel.onKill = (path) => kill((of) => of === path || of.startsWith(`${path}/`));
}

function expectNothingLeft(world: World): void {
  const { deps, kernel } = world;
  const { paths } = deps;
  expect(allPods(deps.store)).toEqual([]);
  expect(allContainers(deps.store)).toEqual([]);
  expect([...kernel.cgroups.keys()].filter((path) => path.includes("berth-"))).toEqual([]);
  expect([...kernel.namespaces]).toEqual([]);
  for (const directory of [join(paths.state, "pods"), join(paths.snapshots, "c"), join(paths.root, "logs")]) {
    expect(existsSync(directory) ? readdirSync(directory) : []).toEqual([]);
  }
}

async function points(): Promise<string[]> {
  const world = makeWorld();
  wire(world);
  const life = new Life(world, "");
  await live(life, { podId: "", id: "", done: 0 });
  expectNothingLeft(world);
  return [...new Set(life.points)];
}

test("every step can be the last one of a daemon", { timeout: 60_000 }, async () => {
  const all = await points();
  expect(all.length).toBeGreaterThan(60);
  for (const point of all) {
    const world = makeWorld();
    wire(world);
    const at: Progress = { podId: "", id: "", done: 0 };
    const first = new Life(world, point);
    await expect(live(first, at), point).rejects.toThrow();
    expect(first.dead, point).toBe(true);
    world.driver.monitors.clear();
    const second = new Life(world, "");
    const reconciler = new Reconciler(second.deps, second.call);
    await reconciler.start();
    await live(second, at).catch((error: unknown) => {
      throw new Error(`after a crash at ${point}`, { cause: error });
    });
    await expect.poll(() => [...allPods(world.deps.store)], { message: point }).toEqual([]);
    reconciler.stop();
    expectNothingLeft(world);
  }
});
