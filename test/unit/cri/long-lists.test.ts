// However many rows there are: the loop turns while a list is made.

import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { fill } from "../../../bench/list/fill.ts";
import { warmLists } from "../../../src/cri/list-pieces.ts";
import { bindVerbs } from "../../../src/cri/verbs.ts";
import { type Edge, makeEdge } from "./edge.ts";

const ROWS = 400;
let clock = performance.now() + 1_000;
let turns: number;
let counting: NodeJS.Immediate;
let edge: Edge;

beforeEach(async () => {
  edge = await makeEdge();
  const { store } = edge.world.deps;
  fill(store, ROWS);
  store.exec(`UPDATE pods SET stopped_at = NULL, monitor_pid = 1, monitor_start = 1;
    UPDATE containers SET finished_at = NULL;
    WITH RECURSIVE n (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n LIMIT ${ROWS - 1})
    INSERT INTO images (id, size, config, config_json, manifest_digest, manifest, manifest_type,
        architecture, os, pulled_at)
      SELECT 'sha256:' || n, size, config, config_json, manifest_digest, manifest, manifest_type,
        architecture, os, n FROM images, n`);
});
afterEach(() => vi.restoreAllMocks());

/** Every look at the clock takes 0.1 ms: some four items make a piece. */
function countTurns(): void {
  vi.spyOn(performance, "now").mockImplementation(() => (clock += 0.1));
  turns = 0;
  counting = setImmediate(function count() {
    turns++;
    counting = setImmediate(count);
  });
}

/** Fewer turns than it takes, and more than the sending alone does. */
it.each([
  ["listContainers", 100],
  ["listPodSandbox", 100],
  ["listImages", 50],
  ["listContainerStats", 400],
  ["listPodSandboxStats", 1_000],
  ["listPodSandboxMetrics", 1_000],
])("%s, the first time and later", async (method, least) => {
  countTurns();
  for (let times = 0; times < 2; times++) {
    const before = turns;
    const [items] = Object.values(await edge.ask<Record<string, unknown[]>>(method, {}));
    expect(items).toHaveLength(ROWS);
    expect(turns - before).toBeGreaterThan(least);
  }
  clearImmediate(counting);
});

it.each([
  ["streamContainers", 150],
  ["streamPodSandboxes", 150],
  ["streamImages", 100],
  ["streamContainerStats", 400],
  ["streamPodSandboxStats", 1_000],
  ["streamPodSandboxMetrics", 1_000],
])("%s", async (method, least) => {
  countTurns();
  const answers = await edge.collect<Record<string, unknown[]>>(method, {});
  clearImmediate(counting);
  expect(answers.flatMap((answer) => Object.values(answer)[0])).toHaveLength(ROWS);
  expect(turns).toBeGreaterThan(least);
});

it("the first lists ask the database for nothing when it was read at the start", async () => {
  await warmLists(bindVerbs(edge.world.deps as never));
  edge.world.deps.store.close();
  for (const method of ["listContainers", "listPodSandbox", "listImages"]) {
    const [items] = Object.values(await edge.ask<Record<string, unknown[]>>(method, {}));
    expect(items).toHaveLength(ROWS);
  }
});
