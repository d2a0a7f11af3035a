// Containers and execs that a foreign runtime makes, with small scripts in its place: one that does what it
// should, and ones that do not.

import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import type { ExecLaunch, PrepareRequest, RuntimeLaunch } from "../../../src/monitor/monitor.ts";
import { containerCgroup } from "../../../src/paths.ts";
import { encodePlan } from "../../../src/spec/encode-plan.ts";
import { collect, type TestPod, usePods } from "./pod.ts";

const makePod = usePods();
let pod: TestPod;
let work: string;

/** Writes the pid of a process that waits in the background for the file "go", as "create" leaves one. */
const CREATE =
  '(until [ -e go ]; do sleep 0.01; done; echo out; echo err >&2; exit 5) & echo $! > "$PID_FILE"';
/** Sends the master of a new terminal to the socket, as runtimes do. */
const SEND_TERMINAL = `
import os, socket, sys, termios, time
master, slave = os.openpty()
child = os.fork()
if child == 0:
    os.setsid()
    for fd in (0, 1, 2): os.dup2(slave, fd)
    os.close(master)
    while not os.path.exists("go"): time.sleep(0.01)
    line = sys.stdin.readline()
    sys.stdout.write("got " + line)
    sys.stdout.flush()
    size = os.get_terminal_size(0)
    sys.stdout.write("%d %d\\n" % (size.lines, size.columns))
    sys.stdout.flush()
    os._exit(6)
s = socket.socket(socket.AF_UNIX); s.connect(os.environ["CONSOLE"])
socket.send_fds(s, [b"/dev/ptmx"], [master])
open(os.environ["PID_FILE"], "w").write(str(child))
`;

beforeEach(async () => {
  pod = await makePod();
  work = join(pod.directory, "w");
  mkdirSync(work);
  mkdirSync(join(pod.cgroup, "r"));
});

function shell(...argv: string[]): Uint8Array {
  const env = ["PATH=/usr/bin:/bin", `PID_FILE=${join(work, "pid")}`, `CONSOLE=${join(work, "tty")}`];
  const chdir = { op: "chdir", directory: work } as const;
  const exec = { op: "exec", argv, env, path: "/usr/bin:/bin" } as const;
  return encodePlan({ cloneFlags: 0, pidNamespace: "own", steps: [chdir, exec] });
}

function launch(changes: Partial<RuntimeLaunch> = {}): RuntimeLaunch {
  const files = { pidFile: join(work, "pid"), consoleSocket: join(work, "tty") };
  return { cgroup: join(pod.cgroup, "r"), limitMs: 5_000, ...files, ...changes };
}

async function prepare(argv: string[], changes: Partial<PrepareRequest> = {}): Promise<string> {
  const id = randomBytes(32).toString("hex");
  const cgroupPath = containerCgroup(pod.cgroup, id);
  await pod.kernel.createCgroup(cgroupPath);
  const flags = { tty: false, stdin: false, stdinOnce: false };
  const request = {
    id,
    cgroupPath,
    logPath: join(work, "log"),
    ...flags,
    pidTarget: "",
    plan: shell(...argv),
  };
  const process = await pod.monitor.prepare({ ...request, launch: launch(), ...changes });
  expect(process.pid).toBe(Number(readFileSync(join(work, "pid"), "utf8")));
  return id;
}

const start = (id: string, ...argv: string[]) =>
  pod.monitor.start(id, { cgroup: join(pod.cgroup, "r"), limitMs: 5_000, plan: shell(...argv) });

function log(): string[] {
  const lines = readFileSync(join(work, "log"), "utf8").trim().split("\n");
  return lines.map((line) => line.split(" ").slice(1).join(" ")).sort();
}

/** Cgroups whose processes were killed may stay, empty: they go with the container. */
async function nothingRuns(): Promise<void> {
  const events = () => readFileSync(join(pod.cgroup, "r", "cgroup.events"), "utf8");
  await expect.poll(events).toContain("populated 0");
}

test("adopts the process whose pid the runtime wrote, logs its output and records its exit", async () => {
  const id = await prepare(["sh", "-c", `echo a word of the runtime; ${CREATE}`]);
  expect((await pod.connect()).containers.map(({ state }) => state)).toEqual(["prepared"]);
  await start(id, "touch", "go");
  expect(await pod.exitOf(id)).toMatchObject({ exitCode: 5, signal: 0 });
  expect(log()).toEqual(["stderr F err", "stdout F out"]);
  expect(existsSync(join(pod.paths.podState(pod.id), `exit-${id}`))).toBe(true);
  await nothingRuns();
  await pod.monitor.forget(id);
});

test("takes the terminal from the socket", async () => {
  const id = await prepare(["python3", "-c", SEND_TERMINAL], { tty: true, stdin: true });
  await pod.monitor.resize(id, 33, 77);
  const session = pod.monitor.attach(id, { stdin: true });
  const outcome = collect(session);
  await session.started;
  await start(id, "touch", "go");
  session.writeStdin(Buffer.from("hello\n"));
  expect((await outcome).stdout.toString()).toContain("got hello\r\n33 77\r\n");
  expect(await pod.exitOf(id)).toMatchObject({ exitCode: 6 });
  expect(existsSync(join(work, "tty"))).toBe(false);
});

test('an exit that overtakes the end of "start" is reported behind it', async () => {
  const id = await prepare(["sh", "-c", CREATE]);
  const { startedAt } = await start(id, "sh", "-c", "touch go; sleep 0.3");
  const exit = await pod.exitOf(id);
  expect(exit.exitCode).toBe(5);
  expect(startedAt).toBeGreaterThan(0);
});

test("a runtime that fails to start leaves no container", async () => {
  const id = await prepare(["sh", "-c", CREATE]);
  const failing = start(id, "sh", "-c", "echo no such thing >&2; exit 9");
  await expect(failing).rejects.toMatchObject({ step: "runtime failed", path: "exit 9: no such thing" });
  await expect.poll(async () => (await pod.connect()).containers).toEqual([]);
  expect(pod.exits.size).toBe(0);
});

test("forgetting a created container kills it", async () => {
  const id = await prepare(["sh", "-c", CREATE]);
  await pod.monitor.forget(id);
  expect((await pod.connect()).containers).toEqual([]);
});

describe("runtimes that do not do what they should", () => {
  const WRONG: [string, string, object, number?][] = [
    ["fails", "echo one >&2; echo two >&2; exit 3", { step: "runtime failed", path: "exit 3: one\ntwo" }],
    ["fails after it made a process", `${CREATE}; exit 1`, { step: "runtime failed", path: "exit 1" }],
    ["writes no pid file", "true", { step: "read pid file", errno: "ENOENT" }],
    ["writes garbage", 'echo x1 > "$PID_FILE"', { step: "read pid file", errno: "EBADMSG" }],
    ["names a process of somebody else", 'echo $PPID > "$PID_FILE"', { errno: "ESRCH" }],
    ["names init", 'echo 1 > "$PID_FILE"', { step: "read pid file", errno: "EBADMSG" }],
    ["names a process that is not there", 'echo 999999999 > "$PID_FILE"', { errno: "ESRCH" }],
    [
      "hangs",
      "(sleep 1000 &) ; sleep 1000",
      { step: "runtime did not end in time", errno: "ETIMEDOUT" },
      500,
    ],
    ["says more than a pipe holds", "yes", { step: "runtime did not end in time" }, 500],
    ["kills itself", "kill -SEGV $$", { step: "runtime failed", path: "signal 11" }],
  ];
  test.each(WRONG)("%s", async (_, script, failure, limitMs = 5_000) => {
    const limited = { launch: launch({ limitMs }) };
    await expect(prepare(["sh", "-c", script], limited)).rejects.toMatchObject(failure);
    await expect.poll(async () => (await pod.connect()).containers).toEqual([]);
    await nothingRuns();
    // The pod is none the worse.
    expect((await pod.run(["exit", "4"])).exitCode).toBe(4);
  });

  test("sends no terminal, or something else", async () => {
    const silent = prepare(["sh", "-c", CREATE], { tty: true });
    await expect(silent).rejects.toMatchObject({ step: "runtime sent no terminal" });
    const other = SEND_TERMINAL.replace("[master]", "[os.open('/dev/null', 0)]");
    const wrong = prepare(["python3", "-c", other], { tty: true });
    await expect(wrong).rejects.toMatchObject({ step: "runtime sent no terminal" });
  });

  test("is missing", async () => {
    await expect(prepare(["/nowhere/runtime"])).rejects.toMatchObject({ step: "plan:1", errno: "ENOENT" });
    await nothingRuns();
  });
});

describe("execs", () => {
  const exec = (script: string, changes: Partial<ExecLaunch> = {}) =>
    pod.monitor.exec({
      container: running,
      cgroupPath: containerCgroup(pod.cgroup, running),
      tty: false,
      stdin: false,
      rows: 0,
      columns: 0,
      plan: shell("sh", "-c", script),
      launch: {
        ...launch({ pidFile: join(work, "pid") }),
        execCgroup: join(containerCgroup(pod.cgroup, running), "x-a1"),
        moves: true,
        ...changes,
      },
    });
  let running: string;

  beforeEach(async () => {
    running = await prepare(["sh", "-c", 'sleep 1000 & echo $! > "$PID_FILE"']);
    await start(running, "true");
    // As a runtime would have done.
    const procs = join(containerCgroup(pod.cgroup, running), "cgroup.procs");
    writeFileSync(procs, readFileSync(join(work, "pid"), "utf8"));
  });

  test("its output is that of the process, from the first byte on", async () => {
    // A shell reaps a child that ends while it still runs commands; the program that replaces it does not.
    const replaced = 'until [ "$(cat /proc/$$/comm)" = sleep ]; do sleep 0.01; done';
    const script = `(${replaced}; echo out; exit 8) & echo $! > "$PID_FILE"; exec sleep 0.3`;
    const outcome = await collect(exec(script));
    expect([outcome.exitCode, outcome.stdout.toString()]).toEqual([8, "out\n"]);
    await nothingRuns();
  });

  test("closing it kills all of it", async () => {
    const moved = "until grep -q x-a1 /proc/self/cgroup; do sleep 0.01; done";
    const script = `(setsid sleep 1000 & ${moved}; setsid sleep 1001; true) & echo $! > "$PID_FILE"`;
    const session = exec(script);
    await session.started;
    const cgroup = join(containerCgroup(pod.cgroup, running), "x-a1");
    await expect.poll(() => readFileSync(join(cgroup, "cgroup.procs"), "utf8")).toMatch(/\d+\n\d+\n/);
    session.close();
    await session.exited.catch(() => {});
    await expect.poll(() => existsSync(cgroup)).toBe(false);
  });

  test("closing it while the runtime hangs kills that", async () => {
    const session = exec("sleep 1000");
    await expect
      .poll(() => readFileSync(join(pod.cgroup, "r", "cgroup.events"), "utf8"))
      .toContain("populated 1");
    session.close();
    await nothingRuns();
  });

  test("what the runtime says is in the error", async () => {
    const failing = collect(exec("echo cannot exec >&2; exit 1"));
    await expect(failing).rejects.toMatchObject({ step: "runtime failed", path: "exit 1: cannot exec" });
  });
});
