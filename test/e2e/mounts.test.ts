// No mount of a container is ever seen in the host.

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { BUSYBOX, Stage } from "./support/stage.ts";

const PODS = 20;

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.make([BUSYBOX]);
});
afterAll(() => stage.remove());

/**
 * Mount points and file system types of the whole host, except the pinned namespaces of other daemons: they
 * come and go as they like. "#2" and so on tell mounts on top of each other apart.
 */
function hostMounts(): string[] {
  const lines = readFileSync("/proc/self/mountinfo", "utf8").trim().split("\n");
  const seen = new Map<string, number>();
  return lines
    .map((line) => `${line.split(" ")[4]} ${line.split(" - ")[1]?.split(" ")[0]}`)
    .filter(
      (mount) => !mount.startsWith("/run/netns/berth-") || mount.includes(stage.daemon.scratch.netnsPrefix),
    )
    .map((mount) => {
      const number = (seen.get(mount) ?? 0) + 1;
      seen.set(mount, number);
      return number === 1 ? mount : `${mount} #${number}`;
    });
}

test("20 pods add their pinned network namespaces to the host's mount table, and no more", async () => {
  // The first pod makes /run/netns, which the first namespace makes a mount of its own.
  const first = await stage.runPod("first");
  await stage.removePod(first);
  const before = hostMounts();
  const inventory = stage.daemon.inventory();
  const numbers = Array.from({ length: PODS }, (_, index) => index);
  const pods = await Promise.all(
    numbers.map(async (number) => {
      const pod = await stage.runPod(`pod${number}`);
      const hostPath = stage.daemon.scratch.cniFolder;
      await stage.run(pod, "c", BUSYBOX, ["sleep", "1000"], {
        mounts: [{ containerPath: "/data", hostPath }],
      });
      return pod;
    }),
  );
  const added = hostMounts().filter((mount) => !before.includes(mount));
  const prefix = `/run/netns/${stage.daemon.scratch.netnsPrefix}`;
  expect(added.sort()).toEqual(pods.map((pod) => `${prefix}${pod.slice(0, 32)} nsfs`).sort());
  expect(before.filter((mount) => !hostMounts().includes(mount))).toEqual([]);
  await Promise.all(pods.map((pod) => stage.removePod(pod)));
  expect(hostMounts().sort()).toEqual(before.sort());
  expect(await stage.daemon.leaks(inventory)).toEqual([]);
});
