// A monitor built with ASan and UBSan (scripts/build-sanitized.mjs) goes through what the others do.

import { expect, test } from "vitest";
import { buildContainerPlan } from "../../../src/spec/build-container-plan.ts";
import { encodePlan } from "../../../src/spec/encode-plan.ts";
import { collect, sharedPids } from "./pod.ts";
import { childrenOf } from "./processes.ts";
import { rudeFrames, sayAndLeave } from "./rude-client.ts";
import { expectClean, useSanitizedPods } from "./sanitized-pods.ts";

const startPod = useSanitizedPods();

test("containers: own and shared namespaces, terminals, failures, 100 ends", async () => {
  const pod = await startPod(sharedPids());
  expect((await pod.report()).hostname).toBe("web");
  expect((await pod.run(["both"], { container: { tty: true } })).exitCode).toBe(0);
  const { stdout } = await pod.run(["spew", "1000000"], { log: "c.log" });
  expect(stdout.length).toBe(1_000_000);
  for (let code = 0; code < 100; code++) {
    const { id } = await pod.start(["exit", String(code)], { log: "exits.log" });
    expect((await pod.exitOf(id)).exitCode).toBe(code);
    if (code % 2 === 0) await pod.monitor.forget(id);
  }
  const missing = await pod.prepare([], { container: { command: ["/missing"] } });
  await expect(pod.monitor.start(missing.id)).rejects.toMatchObject({ errno: "ENOENT" });
  const plan = encodePlan(buildContainerPlan(pod.planInput(["/x"]))).subarray(0, 500);
  await expect(pod.prepare(["exit"], { request: { plan } })).rejects.toMatchObject({ errno: "EINVAL" });
  await pod.prepare(["sleep"]);
  await pod.start(["leave-behind", "stay"]);
  await expectClean(pod);
});

test("execs and attached clients that come, fail, vanish and end", async () => {
  const pod = await startPod();
  const container = await pod.start(["cat-stdin"], { container: { stdin: true }, log: "c.log" });
  for (let round = 0; round < 20; round++) {
    const ended = pod.execAll(container, ["both", "5"]);
    const failed = pod.exec(container, [], { input: { argv: ["missing"] } });
    const closed = pod.exec(container, ["leave-behind", "stay"]);
    const terminal = pod.exec(container, ["cat-stdin"], { tty: true, stdin: true });
    const attached = pod.monitor.attach(container.id, { stdin: true });
    attached.writeStdin(Buffer.alloc(200_000));
    terminal.writeStdin(Buffer.from("word\n"));
    terminal.resize(10, 10);
    await closed.started;
    closed.close();
    attached.close();
    terminal.closeStdin();
    expect((await collect(terminal)).exitCode).toBe(0);
    expect((await ended).exitCode).toBe(0);
    await expect(failed.exited).rejects.toMatchObject({ errno: "ENOENT" });
    expect((await closed.exited).signal).toBe(9);
  }
  await expectClean(pod);
});

test("1000 rude clients", async () => {
  const pod = await startPod();
  const prepared = await pod.prepare(["sleep"]);
  const running = await pod.start(["cat-stdin"], { container: { stdin: true }, log: "c.log" });
  const plan = encodePlan(buildContainerPlan(pod.planInput(["/x"])));
  const socket = pod.paths.monitorSocket(pod.id);
  for (let seed = 1; seed <= 1000; seed += 4) {
    const seeds = [seed, seed + 1, seed + 2, seed + 3];
    const said = seeds.map((one) => {
      return sayAndLeave(socket, rudeFrames(one, [prepared.id, running.id, "", "none"], plan), one);
    });
    await Promise.all(said);
  }
  expect((await pod.run(["exit", "12"])).exitCode).toBe(12);
  expect(childrenOf(pod.process.pid).filter(({ state }) => state === "Z")).toEqual([]);
  await expectClean(pod);
});
