// berth on a whole Debian 12 in a virtual machine: Linux 6.1, systemd, every cgroup v2 controller. The checks
// run inside (guest/); here each is a test that shows its result.

import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type ImageRecipe, makeImage } from "../images/layout.ts";
import { busyboxTree, makeBusyboxImage, makeProbeImage } from "../images/recipes.ts";
import { Tree } from "../images/tree.ts";
import { checks as firstBoot } from "./guest/first-boot.ts";
import { checks as secondBoot } from "./guest/second-boot.ts";
import { LAYER_COUNT, LAYERED } from "./guest/support.ts";
import { type GuestResult, obstacle, runMachine } from "./machine.ts";

/** Making Debian's disk, and the machine's own patience. */
const TIMEOUT_MS = 15 * 60_000;
const CONSOLE_LINES = 40;

const reason = obstacle();
let results = new Map<string, GuestResult>();
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
  const ran = await runMachine({ probe, busybox, layered });
  results = ran.results;
  ending = ran.console.split("\n").slice(-CONSOLE_LINES).join("\n");
}, TIMEOUT_MS);

beforeEach((context) => context.skip(reason !== null, reason ?? ""));

test.each([...firstBoot, ...secondBoot].map(({ name }) => name))("%s", (name) => {
  const result = results.get(name);
  if (result === undefined) throw new Error(`the machine ended before this; its console:\n${ending}`);
  if (result.error !== undefined) throw new Error(result.error);
});

test("the machine came to its end", () => {
  expect(reason !== null || results.has("end"), ending).toBe(true);
});

afterAll(() => {
  const checks = [...results].filter(([name]) => name !== "end");
  const times = checks.map(([name, { ms }]) => `${String(ms).padStart(7)} ms  ${name}`);
  if (times.length > 0) console.log(times.join("\n"));
});
