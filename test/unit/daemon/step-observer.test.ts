import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { stepObserver } from "../../../src/daemon/step-observer.ts";

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "berth-steps-"));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

it("does nothing unless it is asked to", () => {
  expect(stepObserver({})("RunPodSandbox", "netns", "before")).toBeUndefined();
});

it("writes down every point, and is late at the one that the file names at that time", async () => {
  const path = folder();
  const [log, delay] = [join(path, "log"), join(path, "delay")];
  const observe = stepObserver({ BERTH_STEP_LOG: log, BERTH_DELAY_AT: delay });
  // No file, no delay.
  expect(observe("A", "one", "before")).toBeUndefined();
  writeFileSync(delay, "A/two/after 1\n");
  expect(observe("A", "one", "after")).toBeUndefined();
  expect(observe("A", "two", "before")).toBeUndefined();
  const late = observe("A", "two", "after");
  expect(late).toBeInstanceOf(Promise);
  await late;
  rmSync(delay);
  expect(observe("A", "two", "after")).toBeUndefined();
  const points = ["A/one/before", "A/one/after", "A/two/before", "A/two/after", "A/two/after"];
  expect(readFileSync(log, "utf8")).toBe(points.map((point) => `${point}\n`).join(""));
});
