// critest, the validation suite of the CRI, over a daemon: every spec that this host can run, each as a test
// of its own. The suite runs once, several specs side by side, then its streaming specs over WebSocket, then
// once more with each external runtime.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exceptionFor, exceptionsOn, foreignHandlers, keptOut, thisHost } from "../critest/exceptions.ts";
import { runSuite, type Spec, specNames } from "../critest/run.ts";
import { testSpecs } from "../critest/spec-tests.ts";
import { pushCritestImages } from "../images/critest.ts";
import { startRegistry, type TestRegistry } from "../images/registry.ts";
import { Daemon } from "./daemon.ts";

const critest = join(import.meta.dirname, "../../out/tools/critest");
/** The suite polls more than it computes. */
const PARALLEL = 4;
const PATIENCE_MS = 8 * 60_000;
const SETUP_MS = PATIENCE_MS + 60_000;

const exceptions = exceptionsOn(thisHost());
const STREAMING = "[k8s.io] Streaming ";
const WEBSOCKET = ["-websocket-exec", "-websocket-attach", "-websocket-portforward"];

const handlers = Object.keys(foreignHandlers).map(
  (name) => `[handlers.${name}]\ntype = "oci"\npath = "/usr/bin/${name}"`,
);

// Without the binary nothing can be said of single specs, as when tests are only listed.
const names = existsSync(critest) ? await specNames(critest) : [];
const streaming = names.filter((name) => name.startsWith(STREAMING));

let registry: TestRegistry;
let daemon: Daemon;
let specs = new Map<string, Spec>();
let before: string[] = [];

const byName = (list: readonly Spec[]) => new Map(list.map((spec) => [spec.name, spec]));
beforeAll(async () => {
  registry = await startRegistry();
  await pushCritestImages(registry);
  const url = `http://${registry.host}`;
  const mirrors = Object.fromEntries(["registry.k8s.io", "k8s.gcr.io", "gcr.io"].map((host) => [host, url]));
  daemon = await new Daemon({ mirrors, toml: handlers.join("\n") }).start();
  before = daemon.inventory();
});
afterAll(async () => {
  await daemon?.remove();
  await registry?.stop();
});

test("critest is built and has its specs", () => {
  expect(names.length).toBeGreaterThan(100);
  expect(streaming).toHaveLength(5);
});

test("every exception is about specs that there are", () => {
  for (const all of [exceptions, ...Object.values(foreignHandlers)]) {
    for (const { spec, count } of all) {
      const meant = names.filter((name) => exceptionFor(all, name)?.spec === spec);
      expect(meant, spec).toHaveLength(count);
    }
  }
});

describe("critest", () => {
  beforeAll(async () => {
    const { socket } = daemon.scratch;
    const options = { critest, socket, parallel: PARALLEL, skip: keptOut(exceptions) };
    specs = byName((await runSuite({ ...options, patienceMs: PATIENCE_MS })).specs);
  }, SETUP_MS);

  testSpecs(names, exceptions, () => specs);

  test("nothing but the names of specs is in its report", () => {
    expect([...specs.keys()].filter((name) => !names.includes(name))).toEqual([]);
  });
});

describe("critest over WebSocket", () => {
  let results: ReadonlyMap<string, Spec> = new Map();
  beforeAll(async () => {
    const { socket } = daemon.scratch;
    const options = { critest, socket, focus: "Streaming", skip: keptOut(exceptions), flags: WEBSOCKET };
    results = byName((await runSuite({ ...options, patienceMs: PATIENCE_MS })).specs);
  }, SETUP_MS);

  testSpecs(streaming, exceptions, () => results);
});

for (const [handler, more] of Object.entries(foreignHandlers)) {
  describe(`critest with ${handler}`, () => {
    let results: ReadonlyMap<string, Spec> = new Map();
    beforeAll(async () => {
      const { socket } = daemon.scratch;
      const options = { critest, socket, parallel: PARALLEL, skip: keptOut(exceptions) };
      const flags = [`-runtime-handler=${handler}`];
      results = byName((await runSuite({ ...options, flags, patienceMs: PATIENCE_MS })).specs);
    }, SETUP_MS);

    testSpecs(names, [...exceptions, ...more], () => results);
  });
}

test("the suite leaves nothing behind once its images are removed", async () => {
  const { images } = await daemon.ask<{ images: { id: string }[] }>("listImages", {});
  for (const { id } of images) await daemon.ask("removeImage", { image: { image: id } });
  expect(await daemon.leaks(before)).toEqual([]);
});
