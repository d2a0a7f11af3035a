// What is checked on the machine's first boot, in this order; the last one leaves a container behind for the
// checks after the reboot.

import { strict as assert } from "node:assert";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { checks as critest } from "./critest.ts";
import { checks as handlers } from "./handlers.ts";
import { checks as resources } from "./resources.ts";
import {
  BUSYBOX,
  berth,
  type Check,
  daemonAnswers,
  daemonPid,
  eventually,
  INSTALLED,
  inspect,
  isAlive,
  LAYER_COUNT,
  LAYERED,
  mounts,
  PODS,
  PROBE,
  read,
  removeAll,
  run,
  traces,
  tryBerth,
  tryRun,
} from "./support.ts";

const CONTROLLERS = ["cpu", "cpuset", "io", "memory", "pids"];
/** What a container may by default: the usual set. */
const CAPABILITIES = 0xa80425fbn;
const HOST_ADDRESS = "192.0.2.1";

let before: string[] = [];
let hostMounts: string[] = [];

const status = (name: string): string => inspect(name).State.Status;

async function ended(name: string) {
  await eventually(`container "${name}" ended`, () => status(name) === "exited");
  return inspect(name).State;
}

async function restartedAfter(action: () => void): Promise<void> {
  const pids = ["one", "two"].map((name) => inspect(name).State.Pid);
  const old = daemonPid();
  action();
  await eventually("a new daemon answers", () => ![0, old].includes(daemonPid()) && daemonAnswers());
  assert.deepEqual(
    ["one", "two"].map((name) => [status(name), inspect(name).State.Pid]),
    pids.map((pid) => ["running", pid]),
  );
  assert.ok(pids.every(isAlive));
  assert.equal(berth("exec", "one", "echo", "still here"), "still here");
}

const start: Check[] = [
  {
    name: "the machine is Linux 6.1 with systemd and every cgroup v2 controller",
    run() {
      assert.match(read("/proc/sys/kernel/osrelease"), /^6\.1\./);
      assert.equal(read("/proc/1/comm"), "systemd");
      const there = read("/sys/fs/cgroup/cgroup.controllers").split(" ");
      for (const name of CONTROLLERS) assert.ok(there.includes(name), `no controller "${name}"`);
    },
  },
  {
    name: "systemd runs the daemon by the project's unit",
    async run() {
      run("cp", join(INSTALLED, "berthd.service"), "/etc/systemd/system/");
      run("systemctl", "daemon-reload");
      run("systemctl", "enable", "--now", "berthd.service");
      await eventually("the daemon answers", daemonAnswers);
      assert.equal(run("systemctl", "is-active", "berthd.service"), "active");
      assert.equal(run("stat", "-c", "%a %U", "/run/berth"), "711 root");
    },
  },
  {
    name: "images are loaded",
    run() {
      for (const name of ["probe", "busybox", "layered"]) {
        assert.match(berth("load", "-i", join(INSTALLED, "images", `${name}.tar`)), /Loaded image/);
      }
      // The first container makes the bridge, which stays, and has modules loaded.
      berth("run", "--rm", PROBE, "exit", "0");
      before = traces();
      hostMounts = mounts();
    },
  },
];

const inside: Check[] = [
  {
    name: "a container on the default bridge is confined",
    run() {
      const report = JSON.parse(berth("run", "--rm", "--name", "report", PROBE, "report", "--json"));
      assert.match(report.kernel, /^6\.1\./);
      assert.equal(report.pid1, true);
      assert.equal(report.seccomp, "2");
      assert.equal(BigInt(`0x${report.capabilities_bounding}`), CAPABILITIES);
      assert.equal(BigInt(`0x${report.capabilities_effective}`), CAPABILITIES);
      assert.deepEqual(report.cgroup, ["0::/"]);
      assert.deepEqual(report.interfaces, ["lo", "eth0"]);
      assert.match(report.addresses.join("\n"), /10\.88\.\d+\.\d+/);
      assert.match(report.mounts[0], /^\/ overlay rw/);
      assert.equal(report.hostname, "report");
    },
  },
  {
    name: "AppArmor confines a container by berth's profile, execs too, unless it is asked not to",
    run() {
      const label = "cat /proc/self/attr/current";
      const ours = "berth-default (enforce)";
      assert.equal(berth("run", "--rm", BUSYBOX, "sh", "-c", label), ours);
      const free = ["--security-opt", "apparmor=unconfined"];
      assert.equal(berth("run", "--rm", ...free, BUSYBOX, "sh", "-c", label), "unconfined");
      berth("run", "-d", "--name", "confined", "--cap-add", "SYS_ADMIN", BUSYBOX, "sleep", "1000");
      assert.equal(berth("exec", "confined", "sh", "-c", label), ours);
      const mount = tryBerth("exec", "confined", "mount", "-t", "tmpfs", "none", "/mnt");
      assert.match(mount.err, /[Pp]ermission denied/);
      assert.equal(berth("exec", "confined", "sh", "-c", "echo a > /tmp/x && cat /tmp/x"), "a");
      berth("rm", "-f", "confined");
    },
  },
  {
    name: "a container with a user namespace: on Linux 6.1 its layers are mapped, and its volumes",
    run() {
      run("mkdir", "-p", "/srv/mapped");
      const volume = ["-v", "/srv/mapped:/data"];
      const script = "id -u; touch /new /data/new && stat -c %u:%g / /bin/busybox /data /data/new /new";
      const ran = berth("run", "--rm", "--userns", "auto", ...volume, BUSYBOX, "sh", "-c", script).split(
        "\n",
      );
      assert.deepEqual(ran, ["0", ...Array(5).fill("0:0")]);
      assert.equal(run("stat", "-c", "%u:%g", "/srv/mapped/new"), "0:0");
      run("rm", "-r", "/srv/mapped");
      berth("run", "-d", "--name", "mapped", "--userns", "auto", "--cap-add", "ALL", PROBE, "sleep");
      const { Pid } = inspect("mapped").State;
      const first = Number(/^\s*0\s+(\d+)\s+65536$/.exec(read(`/proc/${Pid}/uid_map`))?.[1]);
      assert.ok(first >= 0x70000000);
      assert.match(read(`/proc/${Pid}/status`), new RegExp(`^Uid:\t${first}\t`, "m"));
      const { out } = tryBerth("exec", "mapped", "/probe", "unmount", "/proc/sys");
      assert.equal(out, "unmount: EINVAL\n");
      const write = tryBerth("exec", "mapped", "/probe", "write", "/proc/sys/kernel/hostname", "x");
      assert.equal(write.out, "write: EROFS\n");
      berth("rm", "-f", "mapped");
    },
  },
  {
    name: "an image as a volume is mounted with mount(2), read-only, also in a user namespace",
    run() {
      for (const userns of ["host", "auto"]) {
        const image = ["--mount", `type=image,source=${BUSYBOX},target=/img,image-subpath=etc`];
        const script = "head -n1 /img/passwd; touch /img/new";
        const ran = tryBerth("run", "--rm", "--userns", userns, ...image, BUSYBOX, "sh", "-c", script);
        assert.match(ran.out, /^root:/);
        assert.match(ran.err, /Read-only file system/);
      }
    },
  },
  {
    name: "changes to the root file system stay in the container",
    run() {
      const script = "rm /bin/busybox && mkdir /new && echo new > /new/file && echo x >> /etc/passwd";
      berth("run", "--rm", BUSYBOX, "sh", "-c", `${script} && mv /home /house`);
      const seen = berth(
        "run",
        "--rm",
        BUSYBOX,
        "sh",
        "-c",
        "ls -d /bin/busybox /home /new; tail -1 /etc/passwd",
      );
      assert.match(seen, /^\/bin\/busybox\n\/home\nnobody:/);
    },
  },
  {
    name: `an image of ${LAYER_COUNT} layers runs`,
    run() {
      const files = berth("run", "--rm", LAYERED, "sh", "-c", "ls /layers | wc -l; cat /top");
      assert.equal(files, `${LAYER_COUNT - 1}\n${LAYER_COUNT - 1}`);
    },
  },
  {
    name: "a device that was not given can be made, not opened",
    run() {
      const script = "mknod /dev/disk b 254 0 && head -c 1 /dev/disk; head -c 1 /dev/zero | wc -c";
      const { out, err } = tryBerth("run", "--rm", BUSYBOX, "sh", "-c", script);
      assert.match(err, /head: .*Operation not permitted/);
      assert.equal(out, "1\n");
    },
  },
  {
    name: "a read-only volume can be read, not written",
    run() {
      run("mkdir", "-p", "/srv/volume/inner");
      const script = "echo a > /data/a; ls /data";
      const { out, err } = tryBerth("run", "--rm", "-v", "/srv/volume:/data:ro", BUSYBOX, "sh", "-c", script);
      assert.equal(out, "inner\n");
      assert.match(err, /Read-only file system/);
    },
  },
];

const limits: Check[] = [
  {
    name: "a container that exceeds its memory limit is killed and shown as OOMKilled",
    async run() {
      berth("run", "-d", "--name", "glutton", "-m", "32m", PROBE, "eat-memory", String(256 << 20));
      const { ExitCode, OOMKilled, Reason } = await ended("glutton");
      assert.deepEqual([ExitCode, OOMKilled, Reason], [137, true, "OOMKilled"]);
    },
  },
  {
    name: "limits stand in the container's cgroup and can be read inside",
    run() {
      const wishes = ["-m", "64m", "--cpus", "0.5", "--cpuset-cpus", "1", "--cpu-shares", "512"];
      berth("run", "-d", "--name", "limited", ...wishes, "--pids-limit", "20", BUSYBOX, "sleep", "10000");
      const names = ["memory.max", "cpu.max", "cpuset.cpus.effective", "pids.max"];
      const values = [String(64 << 20), "50000 100000", "1", "20"];
      const path = inspect("limited").CgroupPath;
      assert.ok(path.startsWith(`${PODS}/`), path);
      assert.deepEqual(
        names.map((name) => read(path, name)),
        values,
      );
      const within = names.map((name) => `/sys/fs/cgroup/${name}`);
      assert.equal(berth("exec", "limited", "cat", ...within), values.join("\n"));
      assert.match(read(path, "cpu.weight"), /^(20|39|50|59)$/);
    },
  },
  {
    name: "the limit of processes holds, for execs too",
    run() {
      const script = "for n in $(seq 40); do sleep 20 & done; echo all";
      const { err } = tryBerth("exec", "limited", "sh", "-c", script);
      assert.match(err, /can't fork/);
    },
  },
  {
    name: "an exec shares the container's memory limit",
    run() {
      assert.equal(tryBerth("exec", "limited", "sh", "-c", "tail -c 200000000 /dev/zero").code, 137);
      assert.equal(status("limited"), "running");
    },
  },
  {
    name: "limits survive a reload of systemd",
    run() {
      const path = inspect("limited").CgroupPath;
      run("systemctl", "daemon-reload");
      run("systemctl", "daemon-reexec");
      assert.equal(read(path, "cpuset.cpus.effective"), "1");
      assert.equal(read(path, "memory.max"), String(64 << 20));
      assert.equal(berth("exec", "limited", "echo", "hello"), "hello");
    },
  },
];

async function fetchText(url: string): Promise<string> {
  return await (await fetch(url, { signal: AbortSignal.timeout(20_000) })).text();
}

const life: Check[] = [
  {
    name: "a published port answers on the host's addresses",
    async run() {
      run("ip", "link", "add", "outside", "type", "dummy");
      run("ip", "address", "add", `${HOST_ADDRESS}/32`, "dev", "outside");
      run("ip", "link", "set", "outside", "up");
      berth("run", "-d", "--name", "web", "-p", "8080:80", PROBE, "serve", "80", "hello");
      const direct = `http://${inspect("web").NetworkSettings.IPAddress}/`;
      for (const url of [direct, `http://${HOST_ADDRESS}:8080/`, "http://127.0.0.1:8080/"]) {
        assert.match(await fetchText(url).catch((error) => `${url}: ${error.cause ?? error}`), /^hello/);
      }
      berth("rm", "-f", "web");
      await assert.rejects(fetchText(`http://${HOST_ADDRESS}:8080/`));
      run("ip", "link", "delete", "outside");
    },
  },
  {
    name: "exec keeps streams apart and tells the exit code",
    run() {
      for (const name of ["one", "two"]) berth("run", "-d", "--name", name, BUSYBOX, "sleep", "10000");
      const ran = tryBerth("exec", "one", "sh", "-c", "echo out; echo err >&2; exit 42");
      assert.deepEqual(ran, { code: 42, out: "out\n", err: "err\n" });
    },
  },
  {
    name: "containers go on when the daemon is killed, and systemd starts it again",
    run: () => restartedAfter(() => process.kill(daemonPid(), "SIGKILL")),
  },
  {
    name: "containers go on when systemd restarts the daemon",
    run: () => restartedAfter(() => run("systemctl", "restart", "berthd.service")),
  },
  {
    name: "an exit and an OOM kill while the daemon is stopped are known afterwards",
    async run() {
      const wait = "until [ -e /go ]; do sleep 0.1; done";
      berth("run", "-d", "--name", "seven", BUSYBOX, "sh", "-c", `${wait}; exit 7`);
      const eat = `${wait}; exec tail -c 200000000 /dev/zero`;
      berth("run", "-d", "--name", "late", "-m", "32m", BUSYBOX, "sh", "-c", eat);
      const pids = ["seven", "late"].map((name) => inspect(name).State.Pid);
      run("systemctl", "stop", "berthd.service");
      assert.ok(pids.every(isAlive));
      for (const pid of pids) run("touch", `/proc/${pid}/root/go`);
      await eventually("both ended", () => !pids.some(isAlive));
      run("systemctl", "start", "berthd.service");
      await eventually("the daemon answers", daemonAnswers);
      const ends = ["seven", "late"].map((name) => inspect(name).State);
      assert.deepEqual(
        ends.map(({ ExitCode, OOMKilled }) => [ExitCode, OOMKilled]),
        [
          [7, false],
          [137, true],
        ],
      );
    },
  },
  {
    name: "containers that run add nothing to the host's mounts but their network namespaces",
    run: () =>
      assert.deepEqual(
        mounts().filter((mount) => !/^net:\[\d+\] \/run\/netns\/berth-/.test(mount)),
        hostMounts,
      ),
  },
  {
    name: "removal leaves no cgroup, namespace, mount, rule, process or file",
    run: () => removeAll(before),
  },
];

const ending: Check[] = [
  {
    name: "a crash of the whole machine is survived: there are containers to find again",
    run() {
      berth("run", "--name", "finished", PROBE, "exit", "0");
      berth("run", "-d", "--name", "crashed", "-m", "64m", BUSYBOX, "sleep", "10000");
      assert.ok(existsSync(inspect("crashed").CgroupPath));
      assert.equal(tryRun("systemctl", "is-active", "berthd.service").out, "active\n");
    },
  },
];

export const checks: readonly Check[] = [
  ...start,
  ...inside,
  ...limits,
  ...resources,
  ...handlers,
  ...life,
  ...critest,
  ...ending,
];
