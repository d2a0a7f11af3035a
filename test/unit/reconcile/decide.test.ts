import { expect, test } from "vitest";
import type { MonitoredContainer } from "../../../src/monitor/monitor.ts";
import {
  type Action,
  type ContainerObservation,
  decide,
  type PodObservation,
} from "../../../src/reconcile/decide.ts";
import type { Container } from "../../../src/types/container.ts";
import type { Pod } from "../../../src/types/pod.ts";
import { containerConfig, podConfig } from "../containers/world.ts";

const EXIT = { finishedAt: 50, exitCode: 1, signal: 0, oomKilled: false };

function pod(changes: Partial<Pod> = {}): Pod {
  return {
    id: "p",
    config: podConfig(),
    handler: "",
    createdAt: 1,
    readyAt: 2,
    stoppedAt: null,
    removingAt: null,
    monitor: { pid: 10, startTime: 100 },
    netnsPath: "/netns/p",
    networkHeld: true,
    network: { ips: [] },
    cgroupPath: "/cg/p",
    bootId: "boot-1",
    ...changes,
  };
}

function container(changes: Partial<Container> = {}): Container {
  const config = containerConfig();
  const user = { uid: 0, gid: 0, groups: [0] };
  return {
    id: "c",
    podId: "p",
    config,
    imageId: "i",
    imageRef: "i",
    createdAt: 3,
    preparedAt: 4,
    startedAt: 5,
    finishedAt: null,
    exitCode: null,
    signal: null,
    oomKilled: false,
    reason: "",
    message: "",
    removingAt: null,
    process: { pid: 11, startTime: 110 },
    user,
    cgroupPath: "/cg/p/c-c",
    logPath: "",
    stopSignal: 15,
    snapshot: 1,
    runtime: null,
    execTemplate: { env: [], workingDir: "/", user, privileged: false, security: config.security },
    ...changes,
  };
}

function monitored(state: MonitoredContainer["state"], changes: Partial<MonitoredContainer> = {}) {
  return { id: "c", state, process: { pid: 11, startTime: 110 }, startedAt: null, exit: null, ...changes };
}

function seen(changes: Partial<PodObservation> = {}, of: Partial<ContainerObservation> = {}): PodObservation {
  return {
    sameBoot: true,
    monitorAlive: true,
    connection: "fresh",
    containers: new Map([["c", { monitored: null, record: null, ...of }]]),
    strangers: [],
    ...changes,
  };
}

const autoRemove = pod({ config: podConfig({ annotations: { "berth.auto-remove": "true" } }) });
const running = { monitored: monitored("running", { startedAt: 5 }) };
const ended = { monitored: monitored("exited", { startedAt: 5, exit: EXIT }) };
const recordExit: Action = { do: "record-exit", id: "c", exit: EXIT };

const table: [string, Pod, Container[], PodObservation, Action[]][] = [
  ["a run that never committed", pod({ readyAt: null }), [], seen(), [{ do: "undo-pod" }]],
  ["a removal that began", pod({ removingAt: 9 }), [container()], seen(), [{ do: "remove-pod" }]],
  ["a stop that began", pod({ stoppedAt: 9 }), [container()], seen(), [{ do: "release-pod" }]],
  ["a stop whose network is held", pod({ stoppedAt: 9, monitor: null }), [], seen(), [{ do: "release-pod" }]],
  ["a stop that ended", pod({ stoppedAt: 9, monitor: null, networkHeld: false }), [], seen(), []],
  [
    "another boot",
    pod(),
    [container()],
    seen({ sameBoot: false, monitorAlive: false, connection: "none" }),
    [{ do: "record-unseen-exit", id: "c" }, { do: "lose-pod" }],
  ],
  [
    "a dead monitor that left an exit record",
    pod(),
    [container()],
    seen({ monitorAlive: false, connection: "none" }, { record: EXIT }),
    [recordExit, { do: "lose-pod" }],
  ],
  ["a running one", pod(), [container()], seen({}, running), []],
  [
    "a created one",
    pod(),
    [container({ startedAt: null })],
    seen({}, { monitored: monitored("prepared") }),
    [],
  ],
  [
    "one started just before the daemon died",
    pod(),
    [container({ startedAt: null })],
    seen({}, running),
    [{ do: "record-start", id: "c", at: 5 }],
  ],
  ["one that ended meanwhile", pod(), [container()], seen({}, ended), [recordExit]],
  [
    "one started and ended meanwhile",
    pod(),
    [container({ startedAt: null })],
    seen({}, ended),
    [{ do: "record-start", id: "c", at: 5 }, recordExit],
  ],
  [
    "one that the monitor does not know",
    pod(),
    [container()],
    seen(),
    [{ do: "record-unseen-exit", id: "c" }],
  ],
  [
    "one that the monitor forgot but recorded",
    pod(),
    [container()],
    seen({}, { record: EXIT }),
    [recordExit],
  ],
  ["a hung monitor", pod(), [container()], seen({ connection: "none" }), [{ do: "connect" }]],
  [
    "a hung monitor that recorded an exit before",
    pod(),
    [container()],
    seen({ connection: "none" }, { record: EXIT }),
    [recordExit, { do: "connect" }],
  ],
  ["a monitor connected long ago", pod(), [container()], seen({ connection: "known" }), []],
  [
    "a creation that never committed",
    pod(),
    [container({ preparedAt: null, startedAt: null })],
    seen(),
    [{ do: "undo-container", id: "c" }],
  ],
  [
    "a container's removal that began",
    pod(),
    [container({ removingAt: 9 })],
    seen({}, running),
    [{ do: "remove-container", id: "c" }],
  ],
  ["an exited one", pod(), [container({ finishedAt: 9 })], seen(), [{ do: "clear-cgroup", id: "c" }]],
  ["a container without a row", pod(), [], seen({ strangers: ["x"] }), [{ do: "forget", id: "x" }]],
  [
    "a pod that removes itself, its container ended meanwhile",
    autoRemove,
    [container()],
    seen({}, ended),
    [recordExit, { do: "remove-pod" }],
  ],
  ["a pod that removes itself, its container running", autoRemove, [container()], seen({}, running), []],
  ["a pod that removes itself, without a container yet", autoRemove, [], seen(), []],
];

test.each(table)("%s", (_name, row, containers, observation, actions) => {
  expect(decide(row, containers, observation)).toEqual(actions);
});
