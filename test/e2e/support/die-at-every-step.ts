// The daemon kills itself at every named step of a verb, one after another, and is started again.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Daemon } from "../daemon.ts";
import { stepsIn } from "./step-log.ts";

export interface CrashScenario<Subject> {
  /** As steps name it. */
  readonly verb: string;
  prepare(): Promise<Subject>;
  request(subject: Subject): Promise<unknown>;
  /** After the restart, before the request is repeated: nothing may be shown in a wrong state. */
  recovered(subject: Subject): Promise<void>;
  /** After the repeated request. */
  done(subject: Subject): Promise<void>;
  /** Removes what is left of the subject. */
  clear(): Promise<void>;
}

/**
 * The daemon must not run, and does not afterwards. After each death it must start, show nothing wrong,
 * fulfil the same request and leak nothing. Returns the names of the steps, in the order of an undisturbed
 * run.
 */
export async function dieAtEveryStep<Subject>(
  daemon: Daemon,
  scenario: CrashScenario<Subject>,
): Promise<string[]> {
  const points = await stepsOf(daemon, scenario);
  const problems: string[] = [];
  for (const point of points) {
    try {
      await dieAt(point, daemon, scenario);
    } catch (error) {
      problems.push(`${point}: ${error instanceof Error ? error.message : error}\n${daemon.tail(8)}`);
      await daemon.restart();
      await scenario.clear();
    }
    await daemon.stop("SIGKILL");
  }
  expect(problems.join("\n\n")).toBe("");
  return points;
}

async function stepsOf<Subject>(daemon: Daemon, scenario: CrashScenario<Subject>): Promise<string[]> {
  const log = join(daemon.scratch.folder, "steps");
  rmSync(log, { force: true });
  await daemon.start({ BERTH_STEP_LOG: log });
  const subject = await scenario.prepare();
  await scenario.request(subject);
  await scenario.done(subject);
  await scenario.clear();
  await daemon.stop("SIGKILL");
  return stepsIn(log, scenario.verb);
}

async function dieAt<Subject>(
  point: string,
  daemon: Daemon,
  scenario: CrashScenario<Subject>,
): Promise<void> {
  await daemon.start({ BERTH_CRASH_AT: point });
  // By its answer runtimes have been asked what they can do: those processes are no leaks.
  await daemon.ask("status", {});
  const before = daemon.inventory();
  const subject = await scenario.prepare();
  await expect(scenario.request(subject)).rejects.toThrow();
  expect(await daemon.ended()).toBe("SIGKILL");
  await daemon.start();
  await scenario.recovered(subject);
  await scenario.request(subject);
  await scenario.done(subject);
  await scenario.clear();
  expect((await daemon.leaks(before)).join("\n")).toBe("");
}
