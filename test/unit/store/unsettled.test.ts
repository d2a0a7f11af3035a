// Which pods recovery and the reconciler look at: every one that there is something to do about, found
// without a look at the others.

import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { decide, type PodObservation } from "../../../src/reconcile/decide.ts";
import { containersOfPod } from "../../../src/store/containers.ts";
import { openStore, type Store } from "../../../src/store/open.ts";
import { findPod, podIds, unfinishedPodIds, unsettledPodIds } from "../../../src/store/pods.ts";

let store: Store;
beforeEach(() => {
  store = openStore(":memory:");
});
afterEach(() => store.close());

const SEEN: PodObservation = {
  sameBoot: true,
  monitorAlive: false,
  connection: "none",
  containers: new Map(),
  strangers: [],
};

/** Every way in which the given columns may have one of their values. */
function combinations(columns: Record<string, readonly string[]>): string[] {
  return Object.entries(columns).reduce<string[]>(
    (sets, [column, values]) =>
      sets.flatMap((set) => values.map((value) => `${set}${set && ", "}${column} = ${value}`)),
    [""],
  );
}

const TIME = ["NULL", "5"];
const POD_STATES = combinations({
  ready_at: TIME,
  stopped_at: TIME,
  removing_at: TIME,
  monitor_pid: ["NULL", "7"],
  network_held: ["0", "1"],
});
const CONTAINER_STATES = combinations({ prepared_at: TIME, finished_at: TIME, removing_at: TIME });

/** A pod in each state, with no container or with one in each state. */
function fillWithEveryState(): void {
  const pod = store.prepare(`INSERT INTO pods (id, name, namespace, uid, attempt, handler, config,
    created_at, netns_path, network, cgroup_path, boot_id, monitor_start)
    VALUES ($id, $id, '', '', 0, '', $config, 1, '', '{"ips":[]}', '', '', 1)`);
  const container = store.prepare(`INSERT INTO containers (id, pod_id, name, attempt, config, image_id,
    image_ref, created_at, user, cgroup_path, log_path, stop_signal, exec_template)
    VALUES ($id, $id, 'c', 0, '{}', '', '', 1, '{}', '', '', 15, '{}')`);
  const config = JSON.stringify({ metadata: {}, labels: {}, annotations: {} });
  let number = 0;
  for (const podState of POD_STATES) {
    for (const containerState of [null, ...CONTAINER_STATES]) {
      const id = `p${number++}`;
      pod.run({ id, config });
      store.exec(`UPDATE pods SET ${podState} WHERE id = '${id}'`);
      if (containerState === null) continue;
      container.run({ id });
      store.exec(`UPDATE containers SET ${containerState} WHERE id = '${id}'`);
    }
  }
}

it("are all of which something would be decided, and none that is over and done", () => {
  fillWithEveryState();
  const unsettled = new Set(unsettledPodIds(store));
  let settled = 0;
  for (const id of podIds(store)) {
    const pod = findPod(store, id);
    if (pod === null) throw new Error(`no pod "${id}"`);
    const actions = decide(pod, containersOfPod(store, id), SEEN);
    if (actions.length > 0) expect(unsettled, JSON.stringify(pod)).toContain(id);
    if (!unsettled.has(id)) settled++;
  }
  expect(settled).toBeGreaterThan(0);
  expect([...unsettled]).toEqual(expect.arrayContaining(unfinishedPodIds(store)));
});

it.each([
  ["unfinishedPodIds", unfinishedPodIds],
  ["unsettledPodIds", unsettledPodIds],
])("%s looks at no row that is over and done", (_, find) => {
  const prepare = vi.spyOn(store, "prepare");
  find(store);
  const [sql = ""] = prepare.mock.calls[0] ?? [];
  prepare.mockRestore();
  const plan = store.prepare<[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`).all();
  const scans = plan.map(({ detail }) => detail).filter((detail) => /SCAN (pods|containers)/.test(detail));
  expect(scans.length).toBeGreaterThan(0);
  for (const scan of scans) expect(scan).toMatch(/INDEX (pods|containers)_(not|unfinished)/);
});
