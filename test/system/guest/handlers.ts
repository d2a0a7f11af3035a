// External runtimes and hooks on Linux 6.1, with every cgroup controller: what needs a limit that acts, and
// user namespaces, whose mounts an older kernel makes in other ways.

import { strict as assert } from "node:assert";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { crictl, EAT, endOf, start } from "./resources.ts";
import { BUSYBOX, type Check, daemonAnswers, eventually, read, run, tryBerth } from "./support.ts";

const CONFIG = "/etc/berth/berth.toml";
const HOOKS = "/etc/berth/hooks.d";
const OUT = "/srv/hooks";
const RUNTIMES = ["crun", "runc"] as const;
const EARLY = ["prestart", "createRuntime", "createContainer"] as const;
const OOM_ROUNDS = 5;
/** NamespaceMode.POD: the daemon chooses the ids. */
const MAPPED = { userns_options: { mode: 0 } };
const MIB = 1 << 20;

async function restart(): Promise<void> {
  run("systemctl", "restart", "berthd.service");
  await eventually("the daemon answers", daemonAnswers);
}

async function withRuntimes(work: () => Promise<void>): Promise<void> {
  const tables = RUNTIMES.map((name) => `[handlers.${name}]\npath = "/usr/bin/${name}"`);
  mkdirSync(HOOKS, { recursive: true });
  writeFileSync(CONFIG, [`hooks_dirs = ["${HOOKS}"]`, ...tables, ""].join("\n"));
  try {
    await restart();
    await work();
  } finally {
    rmSync(CONFIG);
    rmSync(HOOKS, { recursive: true });
    await restart();
  }
}

/** Each stage's hook writes the user namespace that it runs in, and reads its input to the end. */
function addHooks(): void {
  mkdirSync(OUT, { recursive: true });
  run("chmod", "777", OUT);
  for (const stage of EARLY) {
    const script = `cat > /dev/null; readlink /proc/self/ns/user > ${OUT}/${stage}`;
    const hook = { path: "/bin/sh", args: ["sh", "-c", script], env: ["PATH=/usr/bin:/bin"] };
    const file = { version: "1.0.0", hook, when: { annotations: { "^hooked$": "" } }, stages: [stage] };
    writeFileSync(`${HOOKS}/${stage}.json`, JSON.stringify(file));
  }
}

function runMapped(handler: string): void {
  run("mkdir", "-p", "/srv/mapped");
  const options = ["--runtime", handler, "--userns", "auto", "-v", "/srv/mapped:/data", "--cap-add", "ALL"];
  const image = ["--mount", `type=image,source=${BUSYBOX},target=/img`];
  const script =
    "id -u; touch /new /data/new && stat -c %u:%g / /bin/busybox /data /data/new /new /img/bin; " +
    "touch /img/x; mount -o remount,rw,bind /img; readlink /proc/self/ns/user";
  const ran = tryBerth(
    "run",
    "--rm",
    ...options,
    ...image,
    "--annotation",
    "hooked=yes",
    BUSYBOX,
    "sh",
    "-c",
    script,
  );
  const lines = ran.out.trim().split("\n");
  assert.deepEqual(lines.slice(0, -1), ["0", ...Array(6).fill("0:0")], `${handler}: ${ran.out}${ran.err}`);
  assert.match(ran.err, /Read-only file system/);
  assert.match(ran.err, /mount: .*(denied|permitted)/);
  assert.equal(run("stat", "-c", "%u:%g", "/srv/mapped/new"), "0:0");
  const host = run("readlink", "/proc/self/ns/user");
  const seen = EARLY.map((stage) => read(OUT, stage));
  assert.deepEqual(seen, [host, host, lines.at(-1)], handler);
  for (const stage of EARLY) rmSync(`${OUT}/${stage}`);
  run("rm", "-r", "/srv/mapped");
}

export const checks: readonly Check[] = [
  {
    name: "user namespaces with crun, runc and natively, and hooks before the root is entered",
    run: () =>
      withRuntimes(async () => {
        addHooks();
        for (const handler of ["native", ...RUNTIMES]) runMapped(handler);
        rmSync(OUT, { recursive: true });
      }),
  },
  {
    name: "OOMKilled is told with crun and runc, of the first process and of a child",
    run: () =>
      withRuntimes(async () => {
        for (let round = 0; round < OOM_ROUNDS; round++) {
          for (const handler of RUNTIMES) {
            const script = round % 2 === 0 ? EAT : "tail -c 200000000 /dev/zero; exit $?";
            const kind = { handler, namespaces: round % 2 === 0 ? MAPPED : {} };
            const limit = { memory_limit_in_bytes: 24 * MIB };
            const { pod, id } = start(`${handler}-oom-${round}`, ["sh", "-c", script], limit, kind);
            const { exitCode, reason } = await endOf(id);
            assert.deepEqual([exitCode, reason], [137, "OOMKilled"], `${handler}, round ${round}`);
            crictl("rmp", "-f", pod);
          }
        }
      }),
  },
  {
    name: "limits of containers of crun and runc change while they run",
    run: () =>
      withRuntimes(async () => {
        for (const handler of RUNTIMES) {
          const resources = { memory_limit_in_bytes: 64 * MIB, cpu_quota: 50_000, cpu_period: 100_000 };
          const kind = { handler, namespaces: MAPPED };
          const { pod, id } = start(`${handler}-limits`, ["sleep", "1000"], resources, kind);
          const inside = (file: string) =>
            crictl("exec", "--sync", id, "cat", `/sys/fs/cgroup/${file}`).trim();
          assert.deepEqual([inside("memory.max"), inside("cpu.max")], [String(64 * MIB), "50000 100000"]);
          crictl(
            "update",
            "--memory",
            String(48 * MIB),
            "--cpu-quota",
            "20000",
            "--cpu-period",
            "100000",
            id,
          );
          assert.deepEqual([inside("memory.max"), inside("cpu.max")], [String(48 * MIB), "20000 100000"]);
          const stats = JSON.parse(crictl("stats", "-o", "json", "--id", id)).stats[0];
          assert.ok(Number(stats.memory?.workingSetBytes?.value) > 0, JSON.stringify(stats.memory));
          crictl("rmp", "-f", pod);
        }
      }),
  },
];
