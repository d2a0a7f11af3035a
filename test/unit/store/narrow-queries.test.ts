// Queries that calls wait for find what few rows hold without a look at all of them.

import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { imageVolumes } from "../../../src/store/images.ts";
import { openStore, type Store } from "../../../src/store/open.ts";
import { takenSelinuxLevels, takenUserRanges } from "../../../src/store/pods.ts";

let store: Store;
beforeEach(() => {
  store = openStore(":memory:");
});
afterEach(() => store.close());

it.each([
  ["image volumes", imageVolumes, "containers_with_image_volumes"],
  ["ranges of users", takenUserRanges, "pods_by_user_namespace"],
  ["SELinux levels", takenSelinuxLevels, "pods_by_selinux_level"],
])("%s", (_, find, index) => {
  const prepare = vi.spyOn(store, "prepare");
  find(store);
  const [sql = ""] = prepare.mock.calls[0] ?? [];
  prepare.mockRestore();
  const plan = store.prepare<[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`).all();
  const tables = plan
    .map(({ detail }) => detail)
    .filter((detail) => /^(SCAN|SEARCH) (pods|c)\b/.test(detail));
  expect(tables.length).toBeGreaterThan(0);
  for (const table of tables) expect(table).toContain(index);
});
