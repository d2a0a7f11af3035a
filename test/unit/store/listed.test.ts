// Lists read only what changed; they must never show what is not true any more, and never hold up the loop.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { fill } from "../../../bench/list/fill.ts";
import { listedContainers, listedImages, listedPods } from "../../../src/store/listed.ts";
import { openStore, type Store } from "../../../src/store/open.ts";

let store: Store;
/** Never goes back, as the real one. */
let clock = performance.now() + 1_000;

beforeEach(() => {
  store = openStore(":memory:");
});
afterEach(() => {
  vi.restoreAllMocks();
  store.close();
});

const ids = async () => (await listedContainers(store)).map(({ id }) => id);

describe("a view", () => {
  it("gives the same row until that row changes", async () => {
    fill(store, 700);
    const before = await listedContainers(store);
    expect(before).toHaveLength(700);
    expect(await listedContainers(store)).toBe(before);
    const { id } = before[300] ?? { id: "" };
    store.prepare("UPDATE containers SET exit_code = 9 WHERE id = ?").run(id);
    const after = await listedContainers(store);
    expect(after.filter((row, index) => row !== before[index])).toEqual([{ ...before[300], exitCode: 9 }]);
    // What was given out stays as it was.
    expect(before[300]?.exitCode).toBe(0);
  });

  it("forgets rows that are gone, and shows them again when the deletion is taken back", async () => {
    fill(store, 3);
    const before = await ids();
    const [first = ""] = before;
    const broken = store.transaction(() => {
      store.prepare("DELETE FROM containers WHERE id = ?").run(first);
      throw new Error("rolled back");
    });
    expect(() => broken()).toThrow("rolled back");
    expect(await ids()).toEqual(before);
    store.prepare("DELETE FROM containers WHERE id = ?").run(first);
    expect(await ids()).toEqual(before.slice(1));
  });

  it("is of one instant: what changes while it is read is in it as a whole or not at all", async () => {
    fill(store, 600);
    const listing = listedContainers(store);
    // Between the pieces of the first look: every row at once.
    await new Promise((resolve) => setImmediate(resolve));
    store.exec("UPDATE containers SET exit_code = 7");
    const codes = new Set((await listing).map(({ exitCode }) => exitCode));
    expect(codes.size).toBe(1);
  });

  it("does not collect what changes while nobody lists", async () => {
    expect(await ids()).toEqual([]);
    fill(store, 1_100);
    for (let turn = 0; turn < 2_000; turn++) await new Promise((resolve) => setImmediate(resolve));
    // Nothing is left to be read.
    store.close();
    expect(await ids()).toHaveLength(1_100);
  });

  it("survives a row that cannot be read", async () => {
    fill(store, 5);
    await listedPods(store);
    store.exec("UPDATE pods SET network = '{' WHERE rowid = 3");
    await expect(listedPods(store)).rejects.toThrow("JSON");
    store.exec(`UPDATE pods SET network = '{"ips":[]}' WHERE rowid = 3`);
    expect(await listedPods(store)).toHaveLength(5);
  });

  it("takes an image's own config for what it is: anybody's", async () => {
    const add = store.prepare(`INSERT INTO images (id, size, config, config_json, manifest_digest, manifest,
        manifest_type, architecture, os, pulled_at)
      VALUES (?, 1, '{"user":"u","entrypoint":[],"cmd":[]}', ?, 'd', x'00', 'm', 'amd64', 'linux', 1)`);
    const deep = `{"created":"2026-01-01T00:00:00Z","x":${"[".repeat(2_000)}${"]".repeat(2_000)}}`;
    add.run("sha256:a", '{"created":"2026-01-01T00:00:00Z"}');
    add.run("sha256:b", '{"created":{"no":"date"}}');
    add.run("sha256:c", deep);
    const created = (await listedImages(store)).map((image) => [image.id, image.created]);
    expect(created[0]).toEqual(["sha256:a", "2026-01-01T00:00:00Z"]);
    expect(created).toHaveLength(3);
  });
});

describe("the loop", () => {
  it.each([
    ["containers", listedContainers],
    ["pods", listedPods],
  ])("turns while the first list of %s is read", async (_, list) => {
    fill(store, 400);
    // Every look at the clock takes 0.1 ms: some four rows make a piece.
    vi.spyOn(performance, "now").mockImplementation(() => (clock += 0.1));
    let turns = 0;
    let counting = setImmediate(function count() {
      turns++;
      counting = setImmediate(count);
    });
    expect(await list(store)).toHaveLength(400);
    clearImmediate(counting);
    expect(turns).toBeGreaterThan(50);
  });
});
