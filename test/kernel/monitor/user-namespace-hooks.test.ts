// A container in a user namespace that waits for hooks before its root is entered: what they find, and that
// the container is the same afterwards as one without hooks.

import { readFileSync, readlinkSync } from "node:fs";
import { expect, test } from "vitest";
import { buildContainerPlan } from "../../../src/spec/build-container-plan.ts";
import { joinSteps } from "../../../src/spec/build-exec-plan.ts";
import { encodePlan } from "../../../src/spec/encode-plan.ts";
import { userMappingOf } from "../../../src/spec/user-namespace.ts";
import type { PlanStep } from "../../../src/types/plan.ts";
import { MAPPED } from "../../unit/spec/fixture.ts";
import { collect, parseReport, type RunOptions, type TestPod, usePods } from "./pod.ts";

const startPod = usePods();
const PAUSING: RunOptions = { input: { pauses: true } };
const POD = { security: { namespaces: MAPPED } };

async function finish(pod: TestPod, args: readonly string[], options: RunOptions = {}) {
  const container = await pod.prepare(args, { ...options, input: { ...options.input, pauses: true } });
  await pod.monitor.proceed(container.id);
  const session = pod.monitor.attach(container.id, { stdin: false });
  const outcome = collect(session);
  await session.started;
  await pod.monitor.start(container.id);
  return await outcome;
}

/** A program of the host as a createContainer hook would run. */
async function hook(pod: TestPod, target: string, script: string): Promise<string> {
  const steps: PlanStep[] = [
    ...joinSteps(userMappingOf(MAPPED), { uid: 100_000, gid: 200_000 }),
    {
      op: "exec",
      argv: ["sh", "-c", script],
      env: ["PATH=/usr/bin:/bin:/usr/sbin:/sbin"],
      path: "/bin:/usr/bin",
    },
  ];
  const plan = encodePlan({ cloneFlags: 0, pidNamespace: "container", steps });
  const cgroup = pod.cgroup;
  const ran = await pod.monitor.run({ target, cgroup, limitMs: 5_000, stdin: new Uint8Array(), plan });
  return ran.output.toString();
}

test("hooks find the root by the process's pid; in its namespaces they are nobody of the host", async () => {
  const pod = await startPod(POD);
  const container = await pod.prepare(["sleep"], PAUSING);
  const { pid } = container.process;
  const root = `/proc/${pid}/root${pod.paths.rootAttach}`;
  expect(readFileSync(`${root}/proc/sys/kernel/ostype`, "utf8")).toBe("Linux\n");
  const kinds = ["user", "mnt", "cgroup", "pid"];
  const seen = await hook(
    pod,
    container.id,
    `id -u; for n in ${kinds.join(" ")}; do readlink /proc/self/ns/$n; done`,
  );
  expect(seen.split("\n")).toEqual([
    "0",
    ...kinds.map((kind) => readlinkSync(`/proc/${pid}/ns/${kind}`)),
    "",
  ]);
  expect(await hook(pod, container.id, "touch /etc/by-a-hook; hostname x")).toMatch(/denied(.*\n)+.*/);
  await pod.monitor.proceed(container.id);
  await pod.monitor.start(container.id);
  await pod.monitor.forget(container.id);
});

test("the container is as one without hooks: mounts, identity, descriptors, a terminal", async () => {
  const pod = await startPod(POD);
  // Pipes have numbers.
  const same = (value: unknown) => JSON.stringify(value).replaceAll(/pipe:\[\d+\]/g, "pipe");
  for (const tty of [false, true]) {
    const options = { container: { tty }, request: { tty } };
    const plain = await pod.report(options);
    const hooked = parseReport(await finish(pod, ["report", "--json"], options));
    for (const key of [
      "mounts",
      "descriptors",
      "devices",
      "uid_map",
      "capabilities",
      "working_directory",
      "umask",
    ]) {
      expect([key, same(hooked[key])]).toEqual([key, same(plain[key])]);
    }
  }
});

test("what is forbidden stays locked, and so does the root", async () => {
  const pod = await startPod(POD);
  const options = { security: { addCapabilities: ["ALL"], readonlyRootfs: true } };
  const attempt = async (...args: string[]) => (await finish(pod, args, options)).stdout.toString();
  expect(await attempt("unmount", "/proc/sys")).toBe("unmount: EINVAL\n");
  expect(await attempt("remount", "/", "rw")).toBe("remount: EPERM\n");
  expect(await attempt("write", "/new")).toBe("write: EROFS\n");
  expect(await attempt("unmount", "/")).toMatch(/^unmount: E(INVAL|BUSY)\n/);
});

test("one that waits can be forgotten", async () => {
  const pod = await startPod(POD);
  const { id, process } = await pod.prepare(["sleep"], PAUSING);
  await pod.monitor.forget(id);
  expect(() => readFileSync(`/proc/${process.pid}/stat`)).toThrow();
  expect((await pod.run(["exit", "3"])).exitCode).toBe(3);
});

test("plans without a meaning are refused or fail, and the pod is none the worse", async () => {
  const pod = await startPod(POD);
  const input = pod.planInput(["/bin/probe"]);
  const { steps, ...rest } = buildContainerPlan({ ...input, pauses: true });
  const without = (...ops: string[]) => steps.filter(({ op }) => !ops.includes(op));
  for (const wrong of [without("take-mounts"), without("enter-user-namespace"), without("overlay-root")]) {
    const request = { plan: encodePlan({ ...rest, steps: wrong }) };
    await expect(pod.prepare([], { input, request })).rejects.toThrow();
  }
  expect((await pod.run(["exit", "3"])).exitCode).toBe(3);
});
