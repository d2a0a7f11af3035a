// How an end for lack of memory is told, whoever knew of it.

import { expect, it } from "vitest";
import { createContainer } from "../../../src/containers/create-container.ts";
import { recordExit, recordUnseenExit } from "../../../src/containers/record-exit.ts";
import { startContainer } from "../../../src/containers/start-container.ts";
import { runPodSandbox } from "../../../src/pods/run-pod-sandbox.ts";
import { findContainer } from "../../../src/store/containers.ts";
import type { Container, ExitFacts } from "../../../src/types/container.ts";
import { containerConfig, makeWorld, podConfig } from "./world.ts";

async function stage() {
  const { deps, call, kernel } = makeWorld();
  const podId = await runPodSandbox(deps, call, { config: podConfig(), handler: "" });
  const id = await createContainer(deps, call, { podId, config: containerConfig() });
  await startContainer(deps, call, id);
  const row = () => findContainer(deps.store, id) as Container;
  const events = (text: string) => kernel.cgroups.get(row().cgroupPath)?.set("memory.events", text);
  return { deps, id, row, events };
}

it.each([
  [{ exitCode: 137, signal: 9 }, ""],
  [{ exitCode: 137, signal: 0 }, "the first process ended by itself with exit code 137"],
  [{ exitCode: 0, signal: 0 }, "the first process ended by itself with exit code 0"],
])("the reason is OOMKilled, the message says who was not: %o", async (end, message) => {
  const { deps, id, row } = await stage();
  const exit: ExitFacts = { finishedAt: 9, oomKilled: true, ...end };
  await recordExit(deps, id, exit);
  expect(row()).toMatchObject({ reason: "OOMKilled", oomKilled: true, exitCode: end.exitCode });
  expect(row().message).toContain(message);
  expect(row().message === "").toBe(message === "");
});

it("an end that nobody saw is told from what the kernel counted", async () => {
  const { deps, row, events } = await stage();
  events("low 0\nhigh 0\nmax 40\noom 2\noom_kill 1\noom_group_kill 0\n");
  await recordUnseenExit(deps, row());
  expect(row()).toMatchObject({ reason: "OOMKilled", oomKilled: true, exitCode: 137 });
  expect(row().message).toContain("monitor ended");
});

it("an end that nobody saw and that was no lack of memory stays unknown", async () => {
  const { deps, row, events } = await stage();
  events("low 0\nhigh 0\nmax 40\noom 0\noom_kill 0\noom_group_kill 0\n");
  await recordUnseenExit(deps, row());
  expect(row()).toMatchObject({ reason: "ContainerStatusUnknown", oomKilled: false });
});
