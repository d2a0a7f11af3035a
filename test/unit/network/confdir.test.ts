import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  ConfigurationDirectory,
  type ConfigurationScan,
  scanConfiguration,
} from "../../../src/network/confdir.ts";

let root: string;
let directory: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "berth-confdir-"));
  directory = join(root, "net.d");
  mkdirSync(directory);
});
afterEach(() => rmSync(root, { recursive: true }));

function put(file: string, name: string): void {
  writeFileSync(join(directory, file), JSON.stringify({ cniVersion: "1.0.0", name, type: "bridge" }));
}

test("the first valid file by name is the network, invalid ones are reported", async () => {
  writeFileSync(join(directory, "00-broken.conflist"), "{");
  put("20-second.conf", "second");
  put("10-first.json", "first");
  put("05-other.txt", "ignored");
  const scan = await scanConfiguration(directory);
  expect(scan.networks.map(({ list, file }) => [list.name, file])).toEqual([["first", "10-first.json"]]);
  expect(scan.problems).toHaveLength(1);
  expect(scan.problems[0]).toContain("00-broken.conflist");
});

test("as many networks as wanted, in the order of names, none twice", async () => {
  for (const [file, name] of ["one", "two", "one", "three", "four"].entries()) put(`${file}.conf`, name);
  const { networks, problems } = await scanConfiguration(directory, 3);
  expect(networks.map(({ list }) => list.name)).toEqual(["one", "two", "three"]);
  expect(problems).toEqual([expect.stringContaining('network "one" is in "0.conf" already')]);
});

test("a missing directory is empty, a directory that is called like a file is a problem", async () => {
  expect(await scanConfiguration(join(root, "none"))).toMatchObject({ networks: [], files: [] });
  mkdirSync(join(directory, "10-x.conf"));
  const scan = await scanConfiguration(directory);
  expect(scan.networks).toEqual([]);
  expect(scan.problems[0]).toContain("not a regular file");
});

test("plugins in the network's own directory are added, unless only inlined ones are wanted", async () => {
  const list = { cniVersion: "1.1.0", name: "net", plugins: [{ type: "bridge" }] };
  mkdirSync(join(directory, "net"));
  writeFileSync(join(directory, "net", "20-mesh.conf"), '{"type":"mesh"}');
  writeFileSync(join(directory, "10.conflist"), JSON.stringify(list));
  const types = async () =>
    (await scanConfiguration(directory)).networks[0]?.list.plugins.map((plugin) => plugin.type);
  expect(await types()).toEqual(["bridge", "mesh"]);
  writeFileSync(join(directory, "10.conflist"), JSON.stringify({ ...list, loadOnlyInlinedPlugins: true }));
  expect(await types()).toEqual(["bridge"]);
});

test("every use sees the directory as it is: changed, removed and made again", async () => {
  const watched = new ConfigurationDirectory(
    directory,
    1,
    () => {},
    () => {},
  );
  try {
    expect((await watched.current()).networks).toEqual([]);
    put("10.conf", "one");
    expect((await watched.current()).networks[0]?.list.name).toBe("one");
    put("10.conf", "three");
    expect((await watched.current()).networks[0]?.list.name).toBe("three");
    renameSync(directory, join(root, "away"));
    expect((await watched.current()).networks).toEqual([]);
    mkdirSync(directory);
    put("10.conf", "four");
    expect((await watched.current()).networks[0]?.list.name).toBe("four");
  } finally {
    watched.close();
  }
});

test("a change is heard of without a use", async () => {
  const seen: ConfigurationScan[] = [];
  const watched = new ConfigurationDirectory(
    directory,
    1,
    (scan) => seen.push(scan),
    () => {},
  );
  try {
    await watched.current();
    put("10.conf", "one");
    await vi.waitFor(() => expect(seen.at(-1)?.networks[0]?.list.name).toBe("one"), { timeout: 5000 });
  } finally {
    watched.close();
  }
});
