// What SELinux sees of pods, on a machine booted with it (permissive: the distribution's policy knows neither
// the daemon nor Node, but it labels, and refuses labels that it does not know).

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
  read,
  run,
  tryBerth,
} from "./support.ts";

const PROCESS = /^system_u:system_r:container_t:(s0:c\d+,c\d+)$/;
const labelOf = (path: string): string => run("stat", "-c", "%C", path);
const processLabel = (name: string): string =>
  read(`/proc/${inspect(name).State.Pid}/attr/current`).replace(/\0$/, "");

function levelOf(name: string): string {
  const label = processLabel(name);
  const level = PROCESS.exec(label)?.[1];
  assert.ok(level, `label of "${name}": ${label}`);
  return level;
}

export const checks: readonly Check[] = [
  {
    name: "SELinux is on, with a policy that knows containers",
    async run() {
      assert.equal(read("/sys/fs/selinux/enforce"), "0");
      run("cp", join(INSTALLED, "berthd.service"), "/etc/systemd/system/");
      run("systemctl", "daemon-reload");
      run("systemctl", "enable", "--now", "berthd.service");
      await eventually("the daemon answers", daemonAnswers);
      berth("load", "-i", join(INSTALLED, "images/busybox.tar"));
    },
  },
  {
    name: "a container's processes and files have the labels of its pod, and no other pod's",
    run() {
      for (const name of ["one", "two"]) berth("run", "-d", "--name", name, BUSYBOX, "sleep", "1000");
      const level = levelOf("one");
      assert.notEqual(level, levelOf("two"));
      const files = `system_u:object_r:container_file_t:${level}`;
      const root = `/proc/${inspect("one").State.Pid}/root`;
      for (const path of ["bin/busybox", "dev", "dev/shm", "dev/pts", "dev/mqueue", "etc/hosts"]) {
        assert.equal(labelOf(join(root, path)), files, path);
      }
      const label = berth("exec", "one", "cat", "/proc/self/attr/current").replace(/\0$/, "");
      assert.equal(label, processLabel("one"));
    },
  },
  {
    name: "a volume gets the container's label when it asks for it",
    run() {
      for (const name of ["kept", "given"]) {
        mkdirSync(`/srv/${name}/deep`, { recursive: true });
        writeFileSync(`/srv/${name}/deep/file`, "");
      }
      const before = labelOf("/srv/kept/deep/file");
      const volumes = ["-v", "/srv/kept:/kept", "-v", "/srv/given:/given:Z"];
      berth("run", "-d", "--name", "volumes", ...volumes, BUSYBOX, "sleep", "1000");
      const files = `system_u:object_r:container_file_t:${levelOf("volumes")}`;
      assert.equal(labelOf("/srv/given"), files);
      assert.equal(labelOf("/srv/given/deep/file"), files);
      assert.equal(labelOf("/srv/kept/deep/file"), before);
      const system = tryBerth("run", "--rm", "-v", "/etc:/x:Z", BUSYBOX, "true");
      assert.match(system.err, /relabel volume "\/etc": it is a directory of the system/);
    },
  },
  {
    name: "a privileged container has no label of its own",
    run() {
      berth("run", "-d", "--name", "privileged", "--privileged", BUSYBOX, "sleep", "1000");
      assert.doesNotMatch(processLabel("privileged"), /container_t/);
      berth("rm", "-f", "one", "two", "volumes", "privileged");
    },
  },
];
