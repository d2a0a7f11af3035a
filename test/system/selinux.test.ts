// Labels of pods, on the virtual machine booted with SELinux instead of AppArmor. The checks run inside
// (guest/selinux.ts).

import { beforeAll, beforeEach, expect, test } from "vitest";
import { makeBusyboxImage } from "../images/recipes.ts";
import { checks } from "./guest/selinux.ts";
import { type GuestResults, obstacle, runMachine } from "./machine.ts";

const TIMEOUT_MS = 15 * 60_000;
const CONSOLE_LINES = 40;

const reason = obstacle();
let results: GuestResults = { checks: new Map(), specs: new Map() };
let ending = "";

const only = process.env.BERTH_SYSTEM_CHECKS ?? "";
const wanted = (name: string) => new RegExp(only).test(name);
const nothing = !checks.some(({ name }) => wanted(name));
const leftOut = `not among BERTH_SYSTEM_CHECKS="${only}"`;

beforeAll(async () => {
  if (reason !== null || nothing) return;
  const images = { busybox: await makeBusyboxImage() };
  const ran = await runMachine({ images }, "security=selinux selinux=1 enforcing=0");
  results = ran.results;
  ending = ran.console.split("\n").slice(-CONSOLE_LINES).join("\n");
}, TIMEOUT_MS);

beforeEach((context) => context.skip(reason !== null, reason ?? ""));

for (const { name } of checks) {
  test(name, (context) => {
    context.skip(!wanted(name), leftOut);
    const result = results.checks.get(name);
    if (result === undefined) throw new Error(`the machine ended before this; its console:\n${ending}`);
    if (result.error !== undefined) throw new Error(result.error);
  });
}

test("the machine with SELinux came to its end", (context) => {
  context.skip(nothing, leftOut);
  expect(reason !== null || results.checks.has("end"), ending).toBe(true);
});
