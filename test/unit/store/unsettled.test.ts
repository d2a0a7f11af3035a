// Which pods recovery and the reconciler look at: every one that there is something to do about, found without
// a look at the others.

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

/** All ways in which times may be set or not, one row each. */
function fillWithEveryState(): void {
  const either = ["NULL", "5"];
  const pod = store.prepare(`INSERT INTO pods (id, name, namespace, uid, attempt, handler, config, created_at,
    netns_path, network, cgroup_path, boot_id) VALUES ($id, $id, '', '', 0, '', $config, 1, '', '{"ips":[]}', '', '')`);
  const container = store.prepare(`INSERT INTO containers (id, pod_id, name, attempt, config, image_id,
    image_ref, created_at, user, cgroup_path, log_path, stop_signal, exec_template)
    VALUES ($id, $id, 'c', 0, '{}', '', '', 1, '{}', '', '', 15, '{}')`);
  const config = JSON.stringify({ metadata: {}, labels: {}, annotations: {} });
  let number = 0;
  for (const ready of either) {
    for (const stopped of either) {
      for (const removing of either) {
        for (const monitor of either) {
          for (const held of ["0", "1"]) {
            const sets = `ready_at = ${ready}, stopped_at = ${stopped}, removing_at = ${removing},
              monitor_pid = ${monitor}, monitor_start = ${monitor}, network_held = ${held}`;
            for (const containerSets of containerStates()) {
              const id = `p${number++}`;
              pod.run({ id, config });
              store.exec(`UPDATE pods SET ${sets} WHERE id = '${id}'`);
              if (containerSets === null) continue;
              container.run({ id });
              store.exec(`UPDATE containers SET ${containerSets} WHERE id = '${id}'`);
            }
          }
        }
      }
    }
  }
}

/** null: no container. */
function containerStates(): (string | null)[] {
  const times = ["NULL", "5"];
  return [
    null,
    ...times.flatMap((prepared) =>
      times.flatMap((finished) =>
        times.map(
          (removing) => `prepared_at = ${prepared}, finished_at = ${finished}, removing_at = ${removing}`,
        ),
      ),
    ),
  ];
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
