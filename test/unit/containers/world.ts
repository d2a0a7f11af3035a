// A whole engine in memory: real verbs and store, fake kernel, monitors and network.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { makeConfig } from "../../../src/config.ts";
import { FAKE_HOST, FakeKernel } from "../../../src/kernel/fake.ts";
import { type Call, type StepObserver, silentLogger } from "../../../src/lib/call.ts";
import { FakeMonitorDriver } from "../../../src/monitor/fake.ts";
import type { NetworkDriver } from "../../../src/network/driver.ts";
import { makePaths } from "../../../src/paths.ts";
import { makePodDeps, type PodDeps } from "../../../src/pods/deps.ts";
import { LayerMounts } from "../../../src/snapshots/layer-mounts.ts";
import { openStore } from "../../../src/store/open.ts";
import type { ContainerConfig } from "../../../src/types/container.ts";
import type { BerthEvent } from "../../../src/types/events.ts";
import type { PodConfig } from "../../../src/types/pod.ts";
import { NAMESPACES, containerConfig as plainContainer, podConfig as plainPod } from "../spec/fixture.ts";

export const IMAGE_ID = `sha256:${"a".repeat(64)}`;

export class FakeNetwork implements NetworkDriver {
  readonly calls: string[] = [];
  setUpError: Error | undefined;
  tearDownError: Error | undefined;
  /** Awaited by setUp. */
  gate: Promise<void> = Promise.resolve();

  async setUp(): Promise<{ ips: string[] }> {
    this.calls.push("setUp");
    await this.gate;
    if (this.setUpError !== undefined) throw this.setUpError;
    return { ips: ["10.88.0.2"] };
  }

  async tearDown(): Promise<void> {
    this.calls.push("tearDown");
    if (this.tearDownError !== undefined) throw this.tearDownError;
  }

  /** What `check` complains of. */
  problem = "";

  async check(): Promise<string> {
    this.calls.push("check");
    return this.problem;
  }

  async collectGarbage(): Promise<void> {
    this.calls.push("collectGarbage");
  }

  async status() {
    return { ready: true, reason: "", message: "" };
  }

  setPodCidrs(cidrs: readonly string[]): void {
    this.calls.push(`setPodCidrs ${cidrs.join(" ")}`);
  }

  close(): void {}
}

export interface World {
  readonly deps: PodDeps;
  readonly kernel: FakeKernel;
  readonly driver: FakeMonitorDriver;
  readonly network: FakeNetwork;
  readonly events: BerthEvent[];
  onEvent: (event: BerthEvent) => void;
  /** Steps that were observed, such as "RunPodSandbox/netns". */
  readonly steps: string[];
  readonly call: Call;
  /** Thrown before the step of this name runs. */
  failAt: string | undefined;
}

/** `store` is where the database is: one in memory has nothing to sync. */
export function makeWorld({ store: place = "memory" }: { store?: "memory" | "file" } = {}): World {
  const directory = mkdtempSync(join(tmpdir(), "berth-unit-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const paths = makePaths(join(directory, "r"), join(directory, "s"), join(directory, "sock"), "/netns");
  const kernel = new FakeKernel();
  const driver = new FakeMonitorDriver(() => kernel.spawnProcess());
  const network = new FakeNetwork();
  const events: BerthEvent[] = [];
  const store = openStore(place === "memory" ? ":memory:" : join(directory, "berth.db"));
  onTestFinished(() => void store.close());
  store
    .prepare(
      `INSERT INTO images (id, size, config, config_json, manifest_digest, manifest, manifest_type,
         architecture, os, pulled_at) VALUES (?, 1, ?, '{}', 'sha256:m', x'00', 'm', 'amd64', 'linux', 1)`,
    )
    .run(
      IMAGE_ID,
      JSON.stringify({
        user: "",
        env: [],
        entrypoint: ["/probe"],
        cmd: [],
        workingDir: "",
        stopSignal: "SIGQUIT",
        volumes: [],
        exposedPorts: [],
        labels: {},
      }),
    );
  store.exec(`INSERT INTO layers
        (number, diff_id, blob_digest, blob_size, unpacked_bytes, entries, created_at)
      VALUES (1, 'sha256:d', 'sha256:b', 1, 1, 1, 1);
    INSERT INTO image_layers VALUES ('${IMAGE_ID}', 0, 1)`);
  mkdirSync(paths.layer(1), { recursive: true });
  const deps = makePodDeps({
    store,
    kernel,
    paths,
    config: makeConfig({ root: paths.root, state: paths.state, socket: paths.socket }),
    host: FAKE_HOST,
    log: silentLogger,
    monitorDriver: driver,
    network,
    events: (event) => {
      events.push(event);
      world.onEvent(event);
    },
    userNamespacesMissing: "",
    layerMounts: new LayerMounts({ kernel, paths }),
    readImageFile: async () => null,
  });
  const steps: string[] = [];
  const world: World = {
    deps,
    kernel,
    driver,
    network,
    events,
    onEvent: () => {},
    steps,
    call: makeCall((verb, step, when) => {
      if (when === "before") steps.push(`${verb}/${step}`);
      if (when === "before" && world.failAt === `${verb}/${step}`) throw new Error(`failed at ${step}`);
    }),
    failAt: undefined,
  };
  return world;
}

export function makeCall(observeStep: StepObserver, signal = new AbortController().signal): Call {
  return { signal, log: silentLogger, observeStep };
}

export function podConfig(changes: Partial<PodConfig> = {}): PodConfig {
  const security = { namespaces: { ...NAMESPACES, pid: "POD" } } as const;
  return plainPod(security, { labels: { app: "web" }, ...changes });
}

export function containerConfig(changes: Partial<ContainerConfig> = {}): ContainerConfig {
  return plainContainer({
    metadata: { name: "c", attempt: 0 },
    image: {
      image: IMAGE_ID,
      annotations: {},
      userSpecifiedImage: "",
      runtimeHandler: "",
      imageRef: "",
    },
    labels: { tier: "front" },
    logPath: "c/0.log",
    ...changes,
  });
}
