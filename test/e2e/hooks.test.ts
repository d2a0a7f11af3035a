// OCI hooks from a directory, run by berth itself and by external runtimes.

import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { NamespaceMode } from "../../src/gen/runtime/v1/api.ts";
import type { Daemon } from "./daemon.ts";
import { BUSYBOX, STATE, Stage } from "./support/stage.ts";

const HANDLERS = ["native", "crun", "runc"] as const;
const FIRST = 500_000;
const RANGE = [{ containerId: 0, hostId: FIRST, length: 65_536 }];
const USERNS = { mode: NamespaceMode.POD, uids: RANGE, gids: RANGE };
/** Whether the pod has a user namespace. */
const MAPPED = HANDLERS.flatMap((handler) => [[handler, false] as const, [handler, true] as const]);
const STAGES = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
] as const;
const HOOKS = mkdtempSync("/tmp/berth-e2e-hooks-");
const TOML = ["crun", "runc"].map((name) => `[handlers.${name}]\npath = "/usr/bin/${name}"`).join("\n");

const PROGRAM = "umask 0; echo program >> /out/order; sleep 1000";

let stage: Stage;
let daemon: Daemon;
let before: string[];
let made = 0;
let podName: string;
/** Where hooks write, on the host; in the container it is /out. */
let out: string;

beforeAll(async () => {
  mkdirSync(join(HOOKS, "d"));
  chmodSync(HOOKS, 0o711);
  stage = await Stage.make([BUSYBOX], [], { toml: TOML, head: `hooks_dirs = ["${HOOKS}/d"]` });
  daemon = stage.daemon;
});
afterAll(async () => {
  await stage.remove();
  rmSync(HOOKS, { recursive: true, force: true });
});
beforeEach(() => {
  before = daemon.inventory();
  podName = `pod-${++made}`;
  out = join(HOOKS, podName);
  mkdirSync(out);
});
afterEach(async () => {
  for (const name of readdirSync(join(HOOKS, "d"))) rmSync(join(HOOKS, "d", name));
  await stage.removePods();
  expect(await daemon.leaks(before)).toEqual([]);
  expect(readdirSync(join(daemon.scratch.state, "o"))).toEqual([]);
});

/** A hook of one stage that runs `script` with sh; of startContainer, inside of the container. */
function addHook(
  stageName: string,
  script: string,
  more: { when?: object; timeout?: number; name?: string } = {},
) {
  const path = stageName === "startContainer" ? "/bin/sh" : "/usr/bin/env";
  const words = stageName === "startContainer" ? ["sh", "-c"] : ["env", "sh", "-c"];
  const hook = {
    path,
    args: [...words, script],
    env: [`OUT=${stageName === "startContainer" ? "/out" : out}`, "PATH=/usr/bin:/bin"],
    timeout: more.timeout ?? 20,
  };
  const file = { version: "1.0.0", hook, when: more.when ?? { always: true }, stages: [stageName] };
  writeFileSync(join(HOOKS, "d", `${more.name ?? stageName}.json`), JSON.stringify(file));
}

async function create(
  handler: string,
  command: string[],
  changes: object = {},
  mapped = false,
): Promise<string> {
  const linux = mapped ? { securityContext: { namespaceOptions: { usernsOptions: USERNS } } } : {};
  const annotations = { "io.example/of-pod": "yes" };
  const pod = await stage.runPod(podName, { annotations, linux }, handler);
  // Hooks and programs of a pod with a user namespace are somebody else on the host.
  if (mapped) chmodSync(out, 0o777);
  const mounts = [{ containerPath: "/out", hostPath: out }];
  return await stage.create(pod, "c", BUSYBOX, command, { mounts, ...changes });
}

const start = (containerId: string) => daemon.ask("startContainer", { containerId });
const written = (name: string) => readFileSync(join(out, name), "utf8");
const stagesRun = () => (existsSync(join(out, "order")) ? written("order").trim().split("\n") : []);

describe.each(MAPPED)("%s, with a user namespace: %s", (handler, mapped) => {
  test("hooks of a CDI device run, before those of the directory", async () => {
    addHook("createRuntime", 'echo directory >> "$OUT/order"');
    const folder = join(daemon.scratch.folder, "cdi");
    mkdirSync(folder, { recursive: true });
    const args = ["env", "sh", "-c", `echo device >> ${out}/order`];
    const env = ["PATH=/usr/bin:/bin"];
    const hooks = [{ hookName: "createRuntime", path: "/usr/bin/env", args, env }];
    const devices = [{ name: "one", containerEdits: { hooks } }];
    const specification = { cdiVersion: "0.6.0", kind: "berth.test/hooked", devices };
    writeFileSync(join(folder, "hooked.json"), JSON.stringify(specification));
    const id = await create(handler, ["true"], { CDIDevices: [{ name: "berth.test/hooked=one" }] }, mapped);
    await start(id);
    expect(stagesRun()).toEqual(["device", "directory"]);
  });

  // runc 1.1 runs poststart hooks at the end of "create", and fails with them.
  const notEarly = (name: string) => handler !== "runc" || name !== "poststart";

  test("every kind runs once, in its place, with the container's state", async () => {
    for (const name of STAGES) {
      const look = "readlink /proc/self/ns/net /proc/self/ns/mnt /proc/self/ns/user /proc/self/ns/cgroup";
      const own = name === "startContainer" ? "true" : `${look} > $OUT/ns-${name}`;
      addHook(name, `umask 0; echo ${name} >> $OUT/order; cat > $OUT/state-${name}; ${own}`);
    }
    const id = await create(handler, ["sh", "-c", PROGRAM], {}, mapped);
    expect(stagesRun().filter(notEarly)).toEqual(["prestart", "createRuntime", "createContainer"]);
    await start(id);
    await expect.poll(stagesRun).toHaveLength(6);
    const inOrder = stagesRun().filter((name) => name !== "poststart");
    expect(inOrder).toEqual([...STAGES.slice(0, 3), "startContainer", "program"]);
    expect(stagesRun()).toContain("poststart");
    const { pid } = JSON.parse(written("state-createRuntime")) as { pid: number };
    const ofProgram = (kind: string) => readlinkSync(`/proc/${pid}/ns/${kind}`);
    const namespaces = { user: ofProgram("user"), cgroup: ofProgram("cgroup"), mnt: ofProgram("mnt") };
    await daemon.ask("stopContainer", { containerId: id, timeout: 0n });
    await expect.poll(() => stagesRun().at(-1)).toBe("poststop");
    await daemon.ask("removeContainer", { containerId: id });
    expect(stagesRun()).toHaveLength(7);

    const host = readlinkSync("/proc/self/ns/net");
    for (const name of ["prestart", "createRuntime", "poststart", "poststop"]) {
      expect([name, written(`ns-${name}`).split("\n")[0]]).toEqual([name, host]);
    }
    // In the container's namespaces, although its path is one of the host.
    const [, mnt, user, cgroup] = written("ns-createContainer").split("\n");
    expect(mnt).not.toBe(readlinkSync("/proc/self/ns/mnt"));
    expect([mnt, user, cgroup]).toEqual([namespaces.mnt, namespaces.user, namespaces.cgroup]);
    expect(namespaces.user === readlinkSync("/proc/self/ns/user")).toBe(!mapped);
    for (const name of STAGES) {
      const state = JSON.parse(written(`state-${name}`));
      expect(state).toMatchObject({ id, annotations: { "io.example/of-pod": "yes" } });
      if (name !== "poststop") expect([name, typeof state.pid]).toEqual([name, "number"]);
    }
    expect(JSON.parse(written("state-poststop")).status).toBe("stopped");
  });

  test.each(["prestart", "createRuntime", "createContainer"])(
    "%s that fails undoes the creation",
    async (name) => {
      addHook(name, "cat > /dev/null; echo no graphics card >&2; exit 3");
      addHook("poststop", "cat > /dev/null; echo gone > $OUT/poststop");
      const refused = create(handler, ["true"], {}, mapped);
      await expect(refused).rejects.toMatchObject({ details: expect.stringMatching(/hook|exit/i) });
      if (handler === "native") {
        const details = expect.stringContaining(`${name} hook "/usr/bin/env": exit 3: "no graphics card"`);
        await expect(refused).rejects.toMatchObject({ details });
        expect(written("poststop")).toBe("gone\n");
      }
      const { containers } = await daemon.ask<{ containers: unknown[] }>("listContainers", {});
      expect(containers).toEqual([]);
    },
  );

  test("createContainer finds the container's root in the bundle, and mounts into it", async () => {
    const find = `bundle=$(sed -n 's/.*"bundle" *: *"\\([^"]*\\)".*/\\1/p')
      root=$(sed -n 's/.*"root" *: *{ *"path" *: *"\\([^"]*\\)".*/\\1/p' "$bundle/config.json")`;
    addHook(
      "createContainer",
      `set -e; ${find}; mount -t tmpfs none "$root/mnt"; echo yes > "$root/mnt/hooked"`,
    );
    const id = await create(handler, ["sleep", "1000"], {}, mapped);
    await start(id);
    expect((await stage.exec(id, "cat", "/mnt/hooked")).out).toBe("yes\n");
    const mounts = readFileSync("/proc/self/mounts", "utf8");
    expect(mounts).not.toContain(join(daemon.scratch.state, "rootfs"));
  });

  test("poststart and poststop that fail are only logged", async () => {
    if (handler !== "runc") addHook("poststart", "cat > /dev/null; echo late complaint; exit 4");
    addHook("poststop", "cat > /dev/null; exit 5");
    const id = await create(handler, ["sleep", "1000"], {}, mapped);
    await start(id);
    expect((await stage.status(id)).state).toBe(STATE.RUNNING);
    if (handler === "native") expect(daemon.tail(50)).toContain("late complaint");
    await daemon.ask("removeContainer", { containerId: id });
  });

  test("one that hangs is killed", async () => {
    addHook("createRuntime", "cat > /dev/null; sleep 1000", { timeout: 1 });
    const refused = create(handler, ["true"], {}, mapped);
    await expect(refused).rejects.toThrow();
    if (handler === "native") await expect(refused).rejects.toThrow("did not end within 1 s and was killed");
  });
});

test("startContainer that fails keeps the program from running", async () => {
  addHook("startContainer", "echo not today; exit 9");
  const id = await create("native", ["sh", "-c", "echo ran > /out/ran"]);
  await expect(start(id)).rejects.toThrow('startContainer hook "/bin/sh": exit 9: "not today"');
  expect(await stage.status(id)).toMatchObject({ state: STATE.EXITED, exitCode: 128, reason: "StartError" });
  expect(existsSync(join(out, "ran"))).toBe(false);
});

test("startContainer is confined as the container is", async () => {
  addHook(
    "startContainer",
    "id -u > $OUT/uid; grep -E 'CapEff|Seccomp:' /proc/self/status > $OUT/confined; pwd > $OUT/pwd",
  );
  chmodSync(out, 0o777);
  const security = { runAsUser: { value: 1234n }, seccomp: { profileType: 0 } };
  const id = await create("native", ["sleep", "1000"], {
    linux: { securityContext: security },
    workingDir: "/tmp",
  });
  await start(id);
  expect(written("uid")).toBe("1234\n");
  expect(written("confined")).toMatch(/CapEff:\t0+\n.*Seccomp:\t2\n/);
  expect(written("pwd")).toBe("/tmp\n");
});

test("only those that are meant run, and a malformed file is an error that names it", async () => {
  addHook("poststart", "echo annotated >> $OUT/order", {
    when: { annotations: { "^wanted$": "^yes$" } },
    name: "1",
  });
  addHook("poststart", "echo command >> $OUT/order", { when: { commands: ["^sleep$"] }, name: "2" });
  const plain = await create("native", ["true"]);
  await start(plain);
  expect(stagesRun()).toEqual([]);
  const { podSandboxId } = await daemon
    .ask<{ items: { id: string }[] }>("listPodSandbox", {})
    .then(({ items }) => ({ podSandboxId: items[0]?.id ?? "" }));
  const changes = { mounts: [{ containerPath: "/out", hostPath: out }], annotations: { wanted: "yes" } };
  const id = await stage.create(podSandboxId, "d", BUSYBOX, ["sleep", "1000"], changes);
  await start(id);
  expect(stagesRun()).toEqual(["annotated", "command"]);
  writeFileSync(join(HOOKS, "d", "3.json"), "{");
  const refused = stage.create(podSandboxId, "e", BUSYBOX, ["true"]);
  await expect(refused).rejects.toThrow(`hook file "${join(HOOKS, "d", "3.json")}": not JSON`);
});
