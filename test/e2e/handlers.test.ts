// Handlers of type "oci": Debian's crun and runc under berth's own monitor.

import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { NamespaceMode, type StatusResponse } from "../../src/gen/runtime/v1/api.ts";
import type { Daemon } from "./daemon.ts";
import { BUSYBOX, PROBE, STATE, Stage } from "./support/stage.ts";

const RUNTIMES = ["crun", "runc"] as const;
/** A script that each test writes anew. */
const BAD = join(mkdtempSync("/tmp/berth-e2e-runtime-"), "runtime");
const TOML = RUNTIMES.map((name) => `[handlers.${name}]\ntype = "oci"\npath = "/usr/bin/${name}"`).join("\n");

let stage: Stage;
let daemon: Daemon;
beforeAll(async () => {
  const bad = `[handlers.bad]\npath = "${BAD}"\ntimeout_seconds = 1`;
  stage = await Stage.make([BUSYBOX, PROBE], [], { toml: `${TOML}\n${bad}` });
  daemon = stage.daemon;
});
afterAll(async () => {
  await stage.remove();
  rmSync(dirname(BAD), { recursive: true, force: true });
});

let before: string[];
let mounts: string;
let pods: string[];
/** Of the newest pod: names its log directory. */
let podName: string;
let made = 0;
beforeEach(() => {
  before = daemon.inventory();
  mounts = readFileSync("/proc/self/mounts", "utf8");
  pods = [];
});
afterEach(async () => {
  await Promise.all(pods.map((id) => stage.removePod(id)));
  expect(await daemon.leaks(before)).toEqual([]);
  expect(readdirSync(join(daemon.scratch.state, "o"))).toEqual([]);
});

async function runPod(handler: string, ...rest: [] | [Parameters<Stage["runPod"]>[1]]): Promise<string> {
  podName = `${handler}-${++made}`;
  const id = await stage.runPod(podName, rest[0] ?? {}, handler);
  pods.push(id);
  return id;
}

test("Status lists every handler with what it can do", async () => {
  const { runtimeHandlers } = await daemon.ask<StatusResponse>("status", {});
  const features = Object.fromEntries(runtimeHandlers.map((handler) => [handler.name, handler.features]));
  expect(Object.keys(features)).toEqual(["", "native", "crun", "runc", "bad"]);
  expect(features[""]).toEqual(features.native);
  for (const name of RUNTIMES) expect([name, features[name]]).toEqual([name, features.native]);
  // There is no such program.
  expect(features.bad).toMatchObject({ recursiveReadOnlyMounts: false, userNamespaces: false });
});

test("an unknown handler is refused, with the list of the known ones", async () => {
  const refused = stage.runPod("unknown", {}, "kata");
  await expect(refused).rejects.toMatchObject({
    code: status.NOT_FOUND,
    details: expect.stringContaining('"kata" is not configured; there is "native", "crun", "runc", "bad"'),
  });
});

describe.each(RUNTIMES)("%s", (handler) => {
  test("a container lives: output, exec, stop, exit", async () => {
    const pod = await runPod(handler);
    const script = "echo out; echo err >&2; trap 'echo asked; exit 3' TERM; while :; do sleep 0.01; done";
    const id = await stage.run(pod, "c", BUSYBOX, ["sh", "-c", script]);
    expect((await stage.status(id)).state).toBe(STATE.RUNNING);
    const exec = await stage.exec(id, "sh", "-c", "echo $0; echo bad >&2; exit 7");
    expect(exec).toEqual({ out: "sh\n", err: "bad\n", code: 7 });
    expect((await stage.exec(id, "ps")).out).toContain("sleep");
    // Nothing of it in the host's mount table but the pod's namespace.
    const more = readFileSync("/proc/self/mounts", "utf8")
      .split("\n")
      .filter((line) => !mounts.includes(line));
    expect(more.filter((line) => !line.includes("/run/netns/"))).toEqual([]);
    await daemon.ask("stopContainer", { containerId: id, timeout: 20n });
    const ended = await stage.status(id);
    expect([ended.state, ended.exitCode, ended.reason]).toEqual([STATE.EXITED, 3, "Error"]);
    expect(stage.output(podName, "c")).toBe("out\nasked\n");
    expect(stage.output(podName, "c", "stderr")).toBe("err\n");
    // The runtime has been told to forget it.
    await expect.poll(() => readdirSync(join(daemon.scratch.state, "o"))).toEqual([]);
  });

  test("containers of a pod share its namespaces", async () => {
    const pod = await runPod(handler, { hostname: "shared" });
    const one = await stage.run(pod, "one", BUSYBOX, ["sh", "-c", "echo x > /dev/shm/x; sleep 1000"]);
    const two = await stage.run(pod, "two", BUSYBOX, ["sleep", "1000"]);
    const look = "until [ -s /dev/shm/x ]; do sleep 0.01; done; hostname; cat /dev/shm/x";
    const seen = await stage.exec(two, "sh", "-c", `${look}; ip -o addr | grep -c eth0; ps`);
    expect(seen.out).toMatch(/^shared\nx\n[12]\n/);
    expect(seen.out).toContain("sleep 1000");
    const ns = "for n in net ipc uts pid; do readlink /proc/self/ns/$n; done";
    const [a, b] = await Promise.all([one, two].map((id) => stage.exec(id, "sh", "-c", ns)));
    expect(a?.out.split("\n")).toHaveLength(5);
    expect(a).toEqual(b);
  });

  test("the host's namespaces, and one of its own", async () => {
    const { NODE, CONTAINER } = NamespaceMode;
    const options = { network: NODE, ipc: NODE, pid: CONTAINER };
    const linux = { securityContext: { namespaceOptions: options } };
    const pod = await runPod(handler, { linux });
    const ns = ["sh", "-c", "for n in net ipc uts; do readlink /proc/self/ns/$n; done; echo $$"];
    const own = await stage.run(pod, "c", BUSYBOX, ns, { linux });
    await stage.exited(own);
    const host = ["net", "ipc", "uts"].map((name) => execFileSync("readlink", [`/proc/self/ns/${name}`]));
    expect(stage.output(podName, "c")).toBe(`${host.join("")}1\n`);
  });

  test("exec with a time-out leaves nothing behind", async () => {
    const id = await stage.run(await runPod(handler), "c", BUSYBOX, ["sleep", "1000"]);
    const script = "setsid sleep 987 & sleep 986";
    const asked = { containerId: id, cmd: ["sh", "-c", script], timeout: 1n };
    await expect(daemon.ask("execSync", asked)).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
    const { out } = await stage.exec(id, "ps");
    expect(out).not.toMatch(/sleep 98[67]/);
  });

  test("log rotation, the working directory, users and limits", async () => {
    const pod = await runPod(handler);
    const user = { securityContext: { runAsUser: { value: 1234n }, runAsGroup: { value: 55n } } };
    const script = "while :; do id -u; id -g; pwd; umask; sleep 0.05; done";
    const id = await stage.run(pod, "c", BUSYBOX, ["sh", "-c", script], {
      workingDir: "/made/up",
      linux: user,
    });
    await expect.poll(() => stage.output(podName, "c")).toMatch(/^1234\n55\n\/made\/up\n0022\n/);
    const log = join(daemon.scratch.folder, "logs", podName, "c.log");
    renameSync(log, `${log}.1`);
    await daemon.ask("reopenContainerLog", { containerId: id });
    await expect.poll(() => existsSync(log) && readFileSync(log, "utf8")).toContain("1234");
    expect((await stage.exec(id, "sh", "-c", "id -u; pwd; cat /proc/self/oom_score_adj")).out).toMatch(
      /^1234\n\/made\/up\n/,
    );
  });

  test("a missing program is said at once, and the container does not run", async () => {
    const pod = await runPod(handler);
    const made = stage.run(pod, "c", BUSYBOX, ["/no/such/program"]);
    await expect(made).rejects.toMatchObject({ details: expect.stringMatching(/no such file|not found/i) });
    await expect(made).rejects.toMatchObject({ details: expect.stringContaining(`${handler} `) });
  });

  test("a volume that is not there is made, and propagation works both ways", async () => {
    const pod = await runPod(handler, { linux: { securityContext: { privileged: true } } });
    const hostPath = join(daemon.scratch.folder, `made-by-${handler}`);
    const mount = { hostPath, containerPath: "/v" };
    const id = await stage.run(pod, "c", BUSYBOX, ["sh", "-c", "echo 1 > /v/f; sleep 1000"], {
      mounts: [mount, { hostPath: "/etc/hostname", containerPath: "/one-file", readonly: true }],
    });
    await expect.poll(() => existsSync(join(hostPath, "f"))).toBe(true);
    const readonly = await stage.exec(id, "sh", "-c", "echo x > /one-file");
    expect(readonly.err).toContain("Read-only file system");
  });

  test("the daemon may die: containers go on, and it knows them again", async () => {
    const pod = await runPod(handler);
    const running = await stage.run(pod, "running", BUSYBOX, ["sleep", "1000"]);
    const created = await stage.create(pod, "created", BUSYBOX, ["sh", "-c", "echo started; exit 4"]);
    const ending = await stage.run(pod, "ending", BUSYBOX, ["sh", "-c", "sleep 1; exit 9"]);
    await daemon.stop("SIGKILL");
    await sleep(1_500);
    await daemon.start();
    expect((await stage.status(running)).state).toBe(STATE.RUNNING);
    expect((await stage.status(created)).state).toBe(STATE.CREATED);
    expect((await stage.exited(ending)).exitCode).toBe(9);
    expect((await stage.exec(running, "true")).code).toBe(0);
    await daemon.ask("startContainer", { containerId: created });
    expect((await stage.exited(created)).exitCode).toBe(4);
    expect(stage.output(podName, "created")).toBe("started\n");
  });
});

describe("a runtime that does not do what it should", () => {
  const script = (text: string) => {
    writeFileSync(BAD, `#!/bin/sh\n${text}\n`);
    chmodSync(BAD, 0o755);
  };

  test("that is missing is said before there is a pod", async () => {
    rmSync(BAD, { force: true });
    const refused = stage.runPod("missing", {}, "bad");
    await expect(refused).rejects.toThrow(`runtime "${BAD}" of handler "bad": ENOENT; install it`);
  });

  const WRONG: [string, string, string][] = [
    ["fails", "echo no way >&2; exit 1", "bad create: exit 1: no way"],
    ["writes a log", logging('{"level":"error","msg":"so it is"}'), "bad create: so it is"],
    ["writes garbage into its log", logging("%s{]"), "bad create: exit 1"],
    ["hangs", "exec sleep 1000", "bad create: did not end in time and was killed"],
    ["says it is done", "exit 0", "read pid file"],
    ["talks without end", "exec yes", "did not end in time"],
  ];
  /** Writes `text` to the file behind --log. */
  function logging(text: string): string {
    return `while [ $# -gt 0 ]; do [ "$1" = --log ] && printf '${text}\\n' > "$2"; shift; done; exit 1`;
  }

  test.each(WRONG)("that %s", async (_, text, message) => {
    script(text);
    const pod = await runPod("bad");
    const refused = stage.create(pod, "c", BUSYBOX, ["true"]);
    await expect(refused).rejects.toThrow(message);
    const { containers } = await daemon.ask<{ containers: unknown[] }>("listContainers", {});
    expect(containers).toEqual([]);
  });

  test("that hangs at start and delete holds nobody up for ever", async () => {
    const create =
      'while [ $# -gt 0 ]; do [ "$1" = --pid-file ] && file=$2; [ "$1" = create ] && c=1; shift; done';
    script(`${create}; [ -z "$c" ] && exec sleep 1000; sleep 1000 & echo $! > $file`);
    const pod = await runPod("bad");
    const id = await stage.create(pod, "c", BUSYBOX, ["true"]);
    await expect(daemon.ask("startContainer", { containerId: id })).rejects.toThrow(
      "bad start: did not end in time",
    );
    expect((await stage.status(id)).reason).toBe("StartError");
    await daemon.ask("removeContainer", { containerId: id });
  });
});

test("a terminal", async () => {
  const pod = await runPod("crun");
  const id = await stage.create(pod, "c", BUSYBOX, ["sh", "-c", "tty; stty size; exit 2"], { tty: true });
  await daemon.ask("startContainer", { containerId: id });
  expect((await stage.exited(id)).exitCode).toBe(2);
  expect(stage.output(podName, "c")).toMatch(/^\/dev\/(console|pts\/0)\r\n/);
});

test("the command line runs and lists them", async () => {
  const cli = (...args: string[]) => {
    const program = join(import.meta.dirname, "../../out/berth.cjs");
    return execFileSync(process.execPath, [program, "-H", daemon.scratch.socket, ...args], {
      encoding: "utf8",
    });
  };
  const run = ["run", "--rm", "--runtime", "crun", "--network", "host"];
  expect(cli(...run, BUSYBOX, "echo", "hello")).toBe("hello\n");
  expect(cli("info")).toContain("native (default), crun (/usr/bin/crun), runc (/usr/bin/runc), bad (");
});

test("a pod of a handler that is not configured any more is stopped and removed", async () => {
  const pod = await runPod("crun");
  const id = await stage.run(pod, "c", BUSYBOX, ["sleep", "1000"]);
  const toml = readFileSync(daemon.scratch.config, "utf8");
  writeFileSync(daemon.scratch.config, toml.replaceAll("handlers.crun", "handlers.other"));
  try {
    await daemon.restart();
    expect((await stage.exec(id, "true")).code).toBe(0);
    await expect(stage.create(pod, "d", BUSYBOX, ["true"])).rejects.toMatchObject({ code: status.NOT_FOUND });
    await stage.removePod(pod);
  } finally {
    writeFileSync(daemon.scratch.config, toml);
    await daemon.restart();
  }
});
