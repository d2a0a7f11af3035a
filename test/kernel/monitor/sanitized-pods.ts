// Pods whose monitor was built with ASan and UBSan (scripts/build-sanitized.mjs).

import { existsSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect } from "vitest";
import { type PodOptions, project, type TestPod, usePods } from "./pod.ts";
import { processesOf, until } from "./processes.ts";

const binary = join(project, "out/sanitize/berth-monitor");

/** As usePods. Skips the file's tests when the monitor is not built. */
export function useSanitizedPods(): (options?: PodOptions) => Promise<TestPod> {
  beforeEach((context) => {
    context.skip(!existsSync(binary), "out/sanitize is not built; run: node scripts/build-sanitized.mjs");
  });
  return usePods(binary);
}

/** The monitor leaves on request, without a complaint (leaks are found at its end). */
export async function expectClean(pod: TestPod): Promise<void> {
  await pod.monitor.shutdown();
  await until(() => processesOf(pod.cgroup).length === 0);
  expect(pod.sanitizerReports()).toBe("");
  expect(pod.isLost).toBe(false);
}
