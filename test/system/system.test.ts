// berth on a whole Debian 12 in a virtual machine: Linux 6.1, systemd, every cgroup v2 controller. The checks
// run inside (guest/); here each is a test that shows its result.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { exceptionsOn } from "../critest/exceptions.ts";
import { specNames } from "../critest/run.ts";
import { testSpecs } from "../critest/spec-tests.ts";
import { pushCritestImages } from "../images/critest.ts";
import { type ImageRecipe, makeImage } from "../images/layout.ts";
import { busyboxTree, makeBusyboxImage, makeProbeImage } from "../images/recipes.ts";
import { startRegistry } from "../images/registry.ts";
import { Tree } from "../images/tree.ts";
import { SUITE } from "./guest/critest.ts";
import { checks as firstBoot } from "./guest/first-boot.ts";
import { checks as secondBoot } from "./guest/second-boot.ts";
import { LAYER_COUNT, LAYERED } from "./guest/support.ts";
import { type GuestResults, obstacle, runMachine } from "./machine.ts";

/** Making Debian's disk, and the machine's own patience. */
const TIMEOUT_MS = 45 * 60_000;
const CONSOLE_LINES = 40;

const reason = obstacle();
const critest = join(import.meta.dirname, "../../out/tools/critest");
const exceptions = exceptionsOn({ appArmor: true, memoryController: true });
const specs = existsSync(critest) ? await specNames(critest) : [];

let results: GuestResults = { checks: new Map(), specs: new Map() };
let ending = "";

/** Above busybox every layer has a file of its own, and replaces one. */
function layeredRecipe(): ImageRecipe {
  const layers = Array.from({ length: LAYER_COUNT - 1 }, (_, index) =>
    new Tree().file(`layers/${index}`, "").file("top", `${index + 1}\n`),
  );
  return { name: "layered", reference: LAYERED, layers: [busyboxTree(), ...layers], config: { Cmd: ["sh"] } };
}

beforeAll(async () => {
  if (reason !== null) return;
  const [probe, busybox, layered] = await Promise.all([
    makeProbeImage(),
    makeBusyboxImage(),
    makeImage(layeredRecipe()),
  ]);
  const registry = await startRegistry();
  try {
    await pushCritestImages(registry);
    const ran = await runMachine({ images: { probe, busybox, layered }, registry: registry.storage });
    results = ran.results;
    ending = ran.console.split("\n").slice(-CONSOLE_LINES).join("\n");
  } finally {
    await registry.stop();
  }
}, TIMEOUT_MS);

beforeEach((context) => context.skip(reason !== null, reason ?? ""));

const only = process.env.BERTH_SYSTEM_CHECKS ?? "";
const leftOut = `not among BERTH_SYSTEM_CHECKS="${only}"`;

for (const { name } of [...firstBoot, ...secondBoot]) {
  test(name, (context) => {
    context.skip(!new RegExp(only).test(name), leftOut);
    const result = results.checks.get(name);
    if (result === undefined) throw new Error(`the machine ended before this; its console:\n${ending}`);
    if (result.error !== undefined) throw new Error(result.error);
  });
}

describe("critest", () => {
  beforeEach((context) => context.skip(!new RegExp(only).test(SUITE), leftOut));
  testSpecs(specs, exceptions, () => results.specs);
});

test("the machine came to its end", () => {
  expect(reason !== null || results.checks.has("end"), ending).toBe(true);
});

afterAll(() => {
  const checks = [...results.checks].filter(([name]) => name !== "end");
  const times = checks.map(([name, { ms }]) => `${String(ms).padStart(7)} ms  ${name}`);
  if (times.length > 0) console.log(times.join("\n"));
});
