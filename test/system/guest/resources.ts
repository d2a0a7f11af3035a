// Stats, limits and their changes, and what the kernel kills for lack of memory: only with cgroup
// controllers.

import { strict as assert } from "node:assert";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  BUSYBOX,
  berth,
  type Check,
  daemonAnswers,
  eventually,
  INSTALLED,
  inspect,
  PROBE,
  read,
  run,
  tryRun,
} from "./support.ts";

const MIB = 1 << 20;
const OOM_ROUNDS = 20;
const FOLDER = "/tmp/resources";

const endpoint = ["--runtime-endpoint", "unix:///run/berth/berth.sock", "--timeout", "60s"];
export const crictl = (...args: string[]): string =>
  run(join(INSTALLED, "tools/crictl"), ...endpoint, ...args);
const tryCrictl = (...args: string[]) => tryRun(join(INSTALLED, "tools/crictl"), ...endpoint, ...args);

/** What else a pod is to be. */
interface PodKind {
  readonly handler?: string;
  readonly namespaces?: object;
}

/** A pod and a container of crictl, which can ask for what the command line has no option for. */
export function start(
  name: string,
  command: string[],
  resources: object,
  { handler = "", namespaces = {} }: PodKind = {},
): { pod: string; id: string } {
  mkdirSync(FOLDER, { recursive: true });
  const write = (kind: string, content: object) => {
    const path = join(FOLDER, `${name}-${kind}.json`);
    writeFileSync(path, JSON.stringify(content));
    return path;
  };
  const metadata = { name, namespace: "resources", uid: name, attempt: 0 };
  const linux = { security_context: { namespace_options: namespaces } };
  const pod = write("pod", { metadata, log_directory: FOLDER, linux });
  const container = write("container", {
    metadata: { name },
    image: { image: BUSYBOX },
    command,
    log_path: `${name}.log`,
    // Its namespaces are those of its pod.
    linux: { resources },
  });
  const podId = crictl("runp", ...(handler === "" ? [] : ["--runtime", handler]), pod);
  const id = crictl("create", podId, container, pod);
  crictl("start", id);
  return { pod: podId, id };
}

interface Status {
  readonly state: string;
  readonly exitCode: number;
  readonly reason: string;
  readonly message: string;
  readonly resources: { readonly linux: Readonly<Record<string, string>> };
}
const statusOf = (id: string): Status => JSON.parse(crictl("inspect", id)).status;
const cgroupOf = (id: string): string => inspect(id).CgroupPath;

export async function endOf(id: string): Promise<Status> {
  await eventually("it ended", () => statusOf(id).state === "CONTAINER_EXITED");
  return statusOf(id);
}

export const EAT = "exec tail -c 200000000 /dev/zero";

export const checks: readonly Check[] = [
  {
    name: "stats tell what the controllers count",
    run() {
      const { pod, id } = start(
        "counted",
        ["sh", "-c", "dd if=/dev/zero of=/dev/shm/x bs=1M count=20; sleep 1000"],
        {
          memory_limit_in_bytes: 64 * MIB,
          cpu_quota: 50_000,
          cpu_period: 100_000,
          unified: { "pids.max": "33" },
        },
      );
      run("sleep", "2");
      const stats = JSON.parse(crictl("stats", "-o", "json", "--id", id)).stats[0];
      const value = (part: string, field: string) => Number(stats[part]?.[field]?.value);
      assert.ok(value("memory", "workingSetBytes") > 20 * MIB, JSON.stringify(stats.memory));
      assert.ok(value("memory", "usageBytes") >= value("memory", "workingSetBytes"));
      assert.ok(value("memory", "availableBytes") < 44 * MIB);
      assert.ok(value("memory", "pageFaults") > 0);
      assert.ok(value("cpu", "usageCoreNanoSeconds") > 0);
      assert.ok(Number(stats.swap.timestamp) > 0, JSON.stringify(stats.swap));
      const metrics = JSON.parse(crictl("metricsp")).podMetrics;
      const own = metrics.flatMap(
        (each: { containerMetrics: { containerId: string; metrics: object[] }[] }) =>
          each.containerMetrics.filter(({ containerId }) => containerId === id),
      )[0].metrics as { name: string; value: { value: string } }[];
      const metric = (name: string) => Number(own.find((each) => each.name === name)?.value.value);
      assert.equal(metric("container_spec_memory_limit_bytes"), 64 * MIB);
      assert.equal(metric("container_spec_cpu_quota"), 50_000);
      assert.equal(metric("container_threads_max"), 33);
      assert.ok(metric("container_memory_usage_bytes") > 20 * MIB);
      const [line] = berth("stats", "--no-stream", "--format", "{{.MemUsage}}", id).split("\n");
      assert.match(line ?? "", /MiB \/ 64MiB$/);
      crictl("rmp", "-f", pod);
    },
  },
  {
    name: "limits change while a container runs, all or none, are shown, and outlive the daemon",
    async run() {
      const { pod, id } = start(
        "changed",
        // It reads into its memory what nobody takes from it.
        ["sh", "-c", "dd if=/dev/zero bs=20M count=1 | sleep 1000"],
        {
          memory_limit_in_bytes: 200 * MIB,
        },
      );
      const file = (name: string) => read(cgroupOf(id), name);
      await eventually("it holds memory", () => Number(file("memory.current")) > 19 * MIB);
      crictl("update", "--memory", String(100 * MIB), "--cpu-quota", "20000", "--cpu-period", "100000", id);
      assert.deepEqual([file("memory.max"), file("cpu.max")], [String(100 * MIB), "20000 100000"]);
      const refused = tryCrictl("update", "--memory", String(4 * MIB), "--cpu-quota", "90000", id);
      assert.match(refused.err, /it holds and cannot give back/);
      assert.equal(statusOf(id).state, "CONTAINER_RUNNING");
      const impossible = tryCrictl("update", "--cpu-quota", "70000", "--cpuset-cpus", "900", id);
      assert.notEqual(impossible.code, 0);
      assert.deepEqual([file("memory.max"), file("cpu.max")], [String(100 * MIB), "20000 100000"]);
      run("systemctl", "restart", "berthd.service");
      await eventually("the daemon answers", daemonAnswers);
      const { linux } = statusOf(id).resources;
      assert.deepEqual([linux.memoryLimitInBytes, linux.cpuQuota], [String(100 * MIB), "20000"]);
      assert.equal(file("memory.max"), String(100 * MIB));
      crictl("rmp", "-f", pod);
    },
  },
  {
    name: "limits may go below what is page cache, not below what tmpfs holds",
    async run() {
      const script =
        "dd if=/dev/zero of=/big bs=1M count=80; dd if=/dev/zero of=/dev/shm/x bs=1M count=20; " +
        "echo written; sleep 1000 & wait";
      const { pod, id } = start("cached", ["sh", "-c", script], { memory_limit_in_bytes: 200 * MIB });
      const file = (name: string) => Number(read(cgroupOf(id), name));
      await eventually("it has written both", () => crictl("logs", id).includes("written"));
      assert.ok(file("memory.current") > 80 * MIB);
      crictl("update", "--memory", String(40 * MIB), id);
      assert.equal(file("memory.max"), 40 * MIB);
      assert.ok(file("memory.current") <= 40 * MIB);
      const refused = tryCrictl("update", "--memory", String(16 * MIB), id);
      assert.match(refused.err, /it holds and cannot give back/);
      assert.equal(file("memory.max"), 40 * MIB);
      assert.equal(statusOf(id).state, "CONTAINER_RUNNING");
      crictl("rmp", "-f", pod);
    },
  },
  {
    name: `OOMKilled is told ${OOM_ROUNDS} times of ${OOM_ROUNDS}, of the first process and of a child`,
    async run() {
      for (let round = 0; round < OOM_ROUNDS; round++) {
        const script = round % 2 === 0 ? EAT : "tail -c 200000000 /dev/zero; exit $?";
        const { pod, id } = start(`oom-${round}`, ["sh", "-c", script], { memory_limit_in_bytes: 24 * MIB });
        const { exitCode, reason, message } = await endOf(id);
        assert.deepEqual([exitCode, reason], [137, "OOMKilled"], `round ${round}`);
        assert.equal(message !== "", round % 2 === 1, message);
        crictl("rmp", "-f", pod);
      }
    },
  },
  {
    name: "with memory.oom.group a child takes the whole container with it",
    async run() {
      const script = "tail -c 200000000 /dev/zero & wait; sleep 1000";
      const { pod, id } = start("group", ["sh", "-c", script], {
        memory_limit_in_bytes: 24 * MIB,
        unified: { "memory.oom.group": "1" },
      });
      const { exitCode, reason } = await endOf(id);
      assert.deepEqual([exitCode, reason], [137, "OOMKilled"]);
      crictl("rmp", "-f", pod);
    },
  },
  {
    name: "resource limits of a container are not those of the daemon's unit",
    async run() {
      const limits = () => JSON.parse(berth("run", "--rm", PROBE, "report", "--json")).limits as string[];
      const before = limits();
      assert.ok(before.includes("nofile 1024 1048576"), before.join("\n"));
      const folder = "/run/systemd/system/berthd.service.d";
      mkdirSync(folder, { recursive: true });
      const narrow =
        "LimitNOFILE=700:3000\nLimitSTACK=1M:4M\nLimitMEMLOCK=64K\nLimitFSIZE=900M\nLimitCORE=1M\n";
      writeFileSync(join(folder, "narrow.conf"), `[Service]\n${narrow}`);
      run("systemctl", "daemon-reload");
      run("systemctl", "restart", "berthd.service");
      await eventually("the daemon answers", daemonAnswers);
      assert.deepEqual(limits(), before);
      run("rm", "-r", folder);
      run("systemctl", "daemon-reload");
      run("systemctl", "restart", "berthd.service");
      await eventually("the daemon answers", daemonAnswers);
    },
  },
];
