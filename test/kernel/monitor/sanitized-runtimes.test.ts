// The monitor under ASan and UBSan: pods with user namespaces, their hooks, and containers that external
// runtimes make, with and without such a namespace.

import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { containerCgroup } from "../../../src/paths.ts";
import { encodePlan } from "../../../src/spec/encode-plan.ts";
import type { OciSpecInput } from "../../../src/spec/inputs.ts";
import { toOciSpec } from "../../../src/spec/oci.ts";
import { mountSource } from "../../../src/spec/runtime-mounts.ts";
import { buildRuntimeCommandPlan, buildRuntimeCreatePlan } from "../../../src/spec/runtime-plan.ts";
import type { ContainerMount } from "../../../src/types/container.ts";
import { MAPPED, MAPPING, volume } from "../../unit/spec/fixture.ts";
import { collect, type PodOptions, type TestPod } from "./pod.ts";
import { expectClean, useSanitizedPods } from "./sanitized-pods.ts";

const startPod = useSanitizedPods();
const PODS: Readonly<Record<string, PodOptions>> = {
  plain: {},
  mapped: { security: { namespaces: MAPPED } },
};
const AS_POD = { uidMappings: MAPPING.uids, gidMappings: MAPPING.gids };

test("a user namespace: volumes, terminals, execs, ends, failures in each of the processes", async () => {
  const pod = await startPod({ security: { namespaces: { ...MAPPED, pid: "POD" } } });
  const mounts: ContainerMount[] = [volume("/data", { hostPath: pod.shared, ...AS_POD })];
  expect((await pod.report({ container: { mounts } })).uid).toBe(0);
  const container = await pod.start(["cat-stdin"], { container: { stdin: true }, log: "c.log" });
  for (let round = 0; round < 20; round++) {
    expect((await pod.run(["exit", String(round)])).exitCode).toBe(round);
    expect((await pod.run(["both"], { container: { tty: true } })).exitCode).toBe(0);
    expect((await pod.execAll(container, ["both", "5"])).exitCode).toBe(0);
    const terminal = pod.exec(container, ["stat", "/dev/pts/0"], { tty: true });
    expect((await collect(terminal)).exitCode).toBe(0);
    const failed = pod.exec(container, [], { input: { argv: ["missing"] } });
    await expect(failed.exited).rejects.toMatchObject({ errno: "ENOENT" });
    const missing = { container: { mounts: [volume("/data", { hostPath: "/no/such" })] } };
    await expect(pod.prepare(["sleep"], missing)).rejects.toMatchObject({ errno: "ENOENT" });
    const prepared = await pod.prepare(["sleep"]);
    await pod.monitor.forget(prepared.id);
  }
  await expectClean(pod);
});

test("a user namespace: hooks before the root is entered", async () => {
  const pod = await startPod(PODS.mapped);
  const pausing = { input: { pauses: true } };
  for (let round = 0; round < 20; round++) {
    const container = await pod.prepare(["exit", "7"], pausing);
    const given = await pod.prepare(["sleep"], pausing);
    await pod.monitor.proceed(container.id);
    await pod.monitor.start(container.id);
    expect((await pod.exitOf(container.id)).exitCode).toBe(7);
    if (round % 2 === 0) await pod.monitor.forget(given.id);
  }
  await expectClean(pod);
});

/** One container of an external runtime, without the daemon around it. */
class Foreign {
  readonly id = randomBytes(32).toString("hex");
  readonly #pod: TestPod;
  readonly #program: string;
  readonly #directory: string;
  readonly cgroup: string;
  readonly #work: string;

  constructor(pod: TestPod, program: string) {
    this.#pod = pod;
    this.#program = program;
    this.#directory = join(pod.directory, this.id.slice(0, 12));
    this.cgroup = containerCgroup(pod.cgroup, this.id);
    this.#work = join(pod.cgroup, `r-${this.id.slice(0, 12)}`);
  }

  #command(...words: string[]) {
    const argv = [this.#program, "--root", join(this.#directory, "state"), ...words];
    return { argv, directory: this.#directory, daemonPid: process.pid, cgroupMount: this.#mount };
  }

  get #mount(): string {
    return this.#pod.cgroup.slice(0, this.#pod.cgroup.lastIndexOf("/"));
  }

  /** `changes` are made to config.json. */
  async create(args: readonly string[], tty: boolean, changes: object = {}): Promise<void> {
    const pod = this.#pod;
    mkdirSync(this.#directory);
    for (const cgroup of [this.cgroup, this.#work]) await pod.kernel.createCgroup(cgroup);
    const container = pod.planInput(["/bin/probe", ...args], { container: { tty } });
    const of = (name: string) => `/proc/${pod.process.pid}/ns/${name}`;
    const input: OciSpecInput = {
      container,
      rootPath: pod.paths.rootAttach,
      namespaces: {
        user: mountSource(container, "user"),
        network: pod.paths.netns(pod.id),
        ipc: of("ipc"),
        uts: of("uts"),
      },
      cgroupsPath: this.cgroup.slice(this.#mount.length),
      seccomp: null,
      hooks: {},
    };
    writeFileSync(join(this.#directory, "config.json"), JSON.stringify({ ...toOciSpec(input), ...changes }));
    const files = {
      pidFile: join(this.#directory, "pid"),
      consoleSocket: tty ? join(this.#directory, "c") : "",
    };
    const words = ["create", "--bundle", this.#directory, "--pid-file", files.pidFile];
    if (tty) words.push("--console-socket", files.consoleSocket);
    const plan = buildRuntimeCreatePlan(container, this.#command(...words, this.id), input.cgroupsPath);
    await pod.monitor.prepare({
      id: this.id,
      cgroupPath: this.cgroup,
      logPath: "",
      tty,
      stdin: false,
      stdinOnce: false,
      pidTarget: "",
      plan: encodePlan(plan),
      launch: { cgroup: this.#work, limitMs: 20_000, ...files },
    });
  }

  async start(): Promise<void> {
    const plan = encodePlan(buildRuntimeCommandPlan(this.#command("start", this.id)));
    await this.#pod.monitor.start(this.id, { cgroup: this.#work, limitMs: 20_000, plan });
  }

  async delete(): Promise<void> {
    const plan = encodePlan(buildRuntimeCommandPlan(this.#command("delete", "--force", this.id)));
    const request = { target: "", cgroup: this.#work, limitMs: 20_000, stdin: new Uint8Array(), plan };
    expect((await this.#pod.monitor.run(request)).exitCode).toBe(0);
  }
}

describe.each(["/usr/bin/crun", "/usr/bin/runc"])("%s", (program) => {
  test.each(Object.keys(PODS))("launches, ends, terminals and failures in a %s pod", async (kind) => {
    const pod = await startPod(PODS[kind]);
    for (let round = 0; round < 5; round++) {
      const one = new Foreign(pod, program);
      await one.create(["exit", "9"], round % 2 === 1);
      await one.start();
      expect((await pod.exitOf(one.id)).exitCode).toBe(9);
      await one.delete();
      const unstarted = new Foreign(pod, program);
      await unstarted.create(["sleep"], false);
      await pod.monitor.forget(unstarted.id);
      await unstarted.delete();
      const refused = new Foreign(pod, program);
      const wrong = refused.create(["sleep"], false, { root: { path: "/no/such" } });
      await expect(wrong).rejects.toMatchObject({ step: "runtime failed" });
    }
    await expectClean(pod);
  });
});
