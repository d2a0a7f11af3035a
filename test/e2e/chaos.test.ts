// Many clients at once, and a daemon that is killed again and again at moments that nobody chose. Whatever
// was going on, afterwards every pod can be removed and nothing is left.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Daemon } from "./daemon.ts";
import { PROBE, STATE, Stage } from "./support/stage.ts";

const CLIENTS = 6;
const DEATHS = 12;
const LONGEST_LIFE_MS = 700;

let stage: Stage;
let daemon: Daemon;
beforeAll(async () => {
  stage = await Stage.make([PROBE]);
  daemon = stage.daemon;
});
afterAll(() => stage.remove());

/** Errors of a daemon that went away, or that says what state things are in; anything else is a bug. */
function isExpected(error: unknown): boolean {
  const text = error instanceof Error ? error.message : String(error);
  return /UNAVAILABLE|does not run|CANCELLED|NOT_FOUND|FAILED_PRECONDITION|ALREADY_EXISTS/.test(text);
}

/** Takes one pod through its life, over and over. What fails is tried from the beginning with a new name. */
async function client(number: number, isOver: () => boolean, problems: string[]): Promise<number> {
  let lives = 0;
  for (let round = 0; !isOver(); round++) {
    const name = `chaos-${number}-${round}`;
    try {
      const pod = await stage.runPod(name);
      const id = await stage.run(pod, "c", PROBE, ["/probe", "sleep"]);
      const short = await stage.run(pod, "short", PROBE, ["/probe", "exit", "21"]);
      const exec = await stage.exec(id, "/probe", "exit", "22");
      if (exec.code !== 22) problems.push(`${name}: exec ended with ${exec.code}`);
      const end = await stage.exited(short);
      if (end.exitCode !== 21) problems.push(`${name}: exit code ${end.exitCode} (${end.reason})`);
      await daemon.ask("stopContainer", { containerId: id, timeout: 5n });
      const stopped = await stage.status(id);
      if (stopped.state !== STATE.EXITED) problems.push(`${name}: state ${stopped.state} after a stop`);
      await stage.removePod(pod);
      lives++;
    } catch (error) {
      if (!isExpected(error)) problems.push(`${name}: ${error}`);
      await sleep(20);
    }
  }
  return lives;
}

test("nothing is lost or left, whenever the daemon dies", async () => {
  const steady = await stage.runPod("steady");
  const container = await stage.run(steady, "c", PROBE, ["/probe", "sleep"]);
  await stage.exec(container, "/probe", "exit", "0");
  const before = daemon.inventory();
  const problems: string[] = [];
  let over = false;
  const clients = Array.from({ length: CLIENTS }, (_, number) => client(number, () => over, problems));
  try {
    for (let death = 0; death < DEATHS; death++) {
      await sleep(Math.random() * LONGEST_LIFE_MS);
      await daemon.restart();
    }
    await sleep(LONGEST_LIFE_MS);
  } finally {
    over = true;
    await Promise.all(clients);
  }
  const lives = (await Promise.all(clients)).reduce((sum, count) => sum + count, 0);
  expect(problems).toEqual([]);
  expect(lives).toBeGreaterThan(0);
  expect((await stage.status(container)).state).toBe(STATE.RUNNING);
  const { items } = await daemon.ask<{ items: { id: string }[] }>("listPodSandbox", {});
  const others = items.filter(({ id }) => id !== steady);
  await Promise.all(others.map(({ id }) => stage.removePod(id)));
  expect((await daemon.leaks(before)).join("\n")).toBe("");
});
