// Pods with a user namespace, and images as volumes, through the CRI.

import { mkdirSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { NamespaceMode, type StatusResponse } from "../../src/gen/runtime/v1/api.ts";
import type { Daemon } from "./daemon.ts";
import { mountLinesOf } from "./support/leaks.ts";
import { BUSYBOX, NGINX, PROBE, Stage } from "./support/stage.ts";

const RANGE = [{ containerId: 0, hostId: 300_000, length: 65_536 }];
const POD = { mode: NamespaceMode.POD, uids: RANGE, gids: RANGE };
const SLEEP = ["sleep", "1000"];

let stage: Stage;
let daemon: Daemon;
beforeAll(async () => {
  stage = await Stage.make([BUSYBOX, PROBE, NGINX]);
  daemon = stage.daemon;
});
afterAll(() => stage.remove());

let before: string[];
let mounts: string[];
beforeEach(() => {
  before = daemon.inventory();
  mounts = mountLinesOf(daemon.scratch);
});
afterEach(async () => {
  await stage.removePods();
  expect(mountLinesOf(daemon.scratch)).toEqual(mounts);
  expect(await daemon.leaks(before)).toEqual([]);
});

function withUserns(usernsOptions: object = POD, more: object = {}) {
  return { linux: { securityContext: { namespaceOptions: { usernsOptions, ...more } } } };
}

async function idMapOf(containerId: string): Promise<string> {
  const { out } = await stage.exec(containerId, "cat", "/proc/self/uid_map");
  return out.trim().replaceAll(/ +/g, " ");
}

describe("user namespaces", () => {
  test("the default handler says that it has them", async () => {
    const answer = await daemon.ask<StatusResponse>("status", {});
    const handler = answer.runtimeHandlers.find(({ name }) => name === "");
    expect(handler?.features).toMatchObject({ userNamespaces: true, recursiveReadOnlyMounts: true });
    expect(answer.features).toMatchObject({ userNamespacesHostNetwork: true, mountOptions: true });
  });

  test("a pod, its network, its files, and what is told of it", async () => {
    const pod = await stage.runPod("mapped", { hostname: "mapped", ...withUserns() });
    const id = await stage.run(pod, "c", BUSYBOX, SLEEP, withUserns());
    expect(await idMapOf(id)).toBe("0 300000 65536");
    expect((await stage.exec(id, "hostname")).out).toBe("mapped\n");
    expect(
      (await stage.exec(id, "sh", "-c", "echo 10.0.0.1 other >> /etc/hosts && cat /etc/hosts")).out,
    ).toContain("other");
    const { network, linux } = await stage.podStatus(pod);
    expect((await stage.exec(id, "ping", "-c", "1", "-w", "3", network?.ip ?? "")).code).toBe(0);
    expect((await stage.exec(id, "ip", "link", "set", "lo", "mtu", "1400")).code).not.toBe(0);
    expect(linux?.namespaces?.options?.usernsOptions).toMatchObject(POD);
    // A container that says nothing has its pod's.
    const other = await stage.run(pod, "other", BUSYBOX, SLEEP);
    expect(await idMapOf(other)).toBe("0 300000 65536");
  });

  test("CAP_NET_ADMIN and a terminal work; logs are written", async () => {
    const pod = await stage.runPod("admin", withUserns());
    const changes = {
      linux: {
        securityContext: {
          namespaceOptions: { usernsOptions: POD, pid: NamespaceMode.CONTAINER },
          capabilities: { addCapabilities: ["NET_ADMIN"] },
          runAsUser: { value: 0n },
        },
      },
    };
    const script = "ip link set lo mtu 1400 && echo changed; echo again > /dev/stderr";
    const id = await stage.run(pod, "c", BUSYBOX, ["sh", "-c", script], { ...changes, tty: true });
    await stage.exited(id);
    expect(stage.output("admin", "c")).toContain("changed\r\nagain");
  });

  test("the daemon gives a range where the client leaves that to it, each pod another", async () => {
    const empty = { mode: NamespaceMode.POD };
    const names = ["one", "two", "three"];
    const pods = await Promise.all(names.map((name) => stage.runPod(name, withUserns(empty))));
    const ranges = await Promise.all(
      pods.map(async (pod) => {
        const { linux } = await stage.podStatus(pod);
        return linux?.namespaces?.options?.usernsOptions?.uids[0]?.hostId ?? 0;
      }),
    );
    expect(new Set(ranges).size).toBe(3);
    for (const first of ranges) expect((first - 0x7000_0000) % 65_536).toBe(0);
    const id = await stage.run(pods[0] as string, "c", BUSYBOX, SLEEP);
    expect(await idMapOf(id)).toBe(`0 ${ranges[0]} 65536`);
  });

  test("it lasts through a restart of the daemon", async () => {
    const pod = await stage.runPod("lasting", withUserns());
    const first = await stage.run(pod, "first", BUSYBOX, SLEEP);
    await daemon.restart();
    expect(await idMapOf(first)).toBe("0 300000 65536");
    const second = await stage.run(pod, "second", BUSYBOX, SLEEP);
    expect(await idMapOf(second)).toBe("0 300000 65536");
  });

  test("with the host's network", async () => {
    const network = { network: NamespaceMode.NODE };
    const pod = await stage.runPod("hostnet", withUserns(POD, network));
    const id = await stage.run(pod, "c", BUSYBOX, SLEEP, withUserns(POD, network));
    expect(await idMapOf(id)).toBe("0 300000 65536");
    expect((await stage.exec(id, "ls", "/sys/class/net")).out).toContain("lo\n");
    expect((await stage.exec(id, "readlink", "/proc/self/ns/net")).out.trim()).toBe(
      readlinkSync("/proc/self/ns/net"),
    );
  });

  test.each([
    ["two mappings", { ...POD, uids: [...RANGE, { containerId: 65_536, hostId: 400_000, length: 1 }] }],
    ["id 0 left out", { ...POD, uids: [{ containerId: 1, hostId: 300_001, length: 10 }] }],
    ["mode CONTAINER", { mode: NamespaceMode.CONTAINER }],
    ["mode TARGET", { mode: NamespaceMode.TARGET }],
  ])("%s is refused and leaves nothing", async (_, options) => {
    await expect(stage.runPod("refused", withUserns(options))).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
  });

  test("a container of another user namespace is refused", async () => {
    const pod = await stage.runPod("strict", withUserns());
    for (const options of [{ mode: NamespaceMode.NODE }, { ...POD, gids: [{ ...RANGE[0], hostId: 1 }] }]) {
      await expect(stage.create(pod, "c", BUSYBOX, SLEEP, withUserns(options))).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
        details: expect.stringContaining("user namespace"),
      });
    }
    const plain = await stage.runPod("plain");
    await expect(stage.create(plain, "c", BUSYBOX, SLEEP, withUserns())).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
  });

  test("volumes are mapped; one that cannot be names its file system", async () => {
    const pod = await stage.runPod("volumes", withUserns());
    const hostPath = join(daemon.scratch.folder, "volume");
    mkdirSync(hostPath);
    const maps = { uidMappings: RANGE, gidMappings: RANGE };
    const mount = { containerPath: "/data", hostPath, ...maps };
    const id = await stage.run(pod, "c", BUSYBOX, SLEEP, { mounts: [mount] });
    expect((await stage.exec(id, "touch", "/data/new")).code).toBe(0);
    expect(statSync(join(hostPath, "new")).uid).toBe(0);
    const wrong = { containerPath: "/data", hostPath: "/proc/tty", ...maps };
    await expect(stage.create(pod, "wrong", BUSYBOX, SLEEP, { mounts: [wrong] })).rejects.toMatchObject({
      code: status.FAILED_PRECONDITION,
      details: expect.stringContaining("its file system (proc) cannot"),
    });
  });
});

describe("images as volumes", () => {
  const asVolume = (more: object = {}) => ({
    mounts: [{ containerPath: "/img", image: { image: NGINX }, readonly: true, ...more }],
  });

  test.each([
    ["", {}],
    [" in a user namespace", withUserns()],
  ])("read-only, told by its id, kept from removal%s", async (_, changes) => {
    const pod = await stage.runPod("image", changes);
    const id = await stage.run(pod, "c", BUSYBOX, SLEEP, asVolume());
    expect((await stage.exec(id, "ls", "/img")).out).toContain("etc\n");
    expect((await stage.exec(id, "stat", "-c", "%u:%g", "/img/etc")).out).toBe("0:0\n");
    expect((await stage.exec(id, "touch", "/img/new")).err).toContain("Read-only file system");
    const { image } = await daemon.ask<{ image: { id: string } }>("imageStatus", { image: { image: NGINX } });
    const [mount] = (await stage.status(id)).mounts;
    expect(mount?.image).toMatchObject({ image: NGINX, imageRef: image.id });
    expect(mount?.hostPath).toBe("");
    await expect(daemon.ask("removeImage", { image: { image: NGINX } })).rejects.toMatchObject({
      code: status.FAILED_PRECONDITION,
    });
  });

  test("a part of it", async () => {
    const pod = await stage.runPod("part");
    const id = await stage.run(pod, "c", BUSYBOX, SLEEP, asVolume({ imageSubPath: "etc/nginx" }));
    expect((await stage.exec(id, "ls", "/img")).out).toContain("nginx.conf\n");
    const file = await stage.run(pod, "f", BUSYBOX, SLEEP, asVolume({ imageSubPath: "etc/passwd" }));
    expect((await stage.exec(file, "head", "-n1", "/img")).out).toMatch(/^root:/);
  });

  test.each([
    ["a missing part", { imageSubPath: "not/there" }, status.INVALID_ARGUMENT],
    ["writable", { readonly: false }, status.INVALID_ARGUMENT],
    ["a host path beside it", { hostPath: "/srv" }, status.INVALID_ARGUMENT],
    ["one that was not pulled", { image: { image: "berth.test/none:1" } }, status.NOT_FOUND],
  ])("%s is refused", async (_, wrong, code) => {
    const pod = await stage.runPod("wrong");
    await expect(stage.create(pod, "c", BUSYBOX, SLEEP, asVolume(wrong))).rejects.toMatchObject({
      code,
      details: expect.stringContaining("ImageVolumeMountFailed"),
    });
  });
});

describe("PID namespaces of other containers", () => {
  const target = (targetId: string) => ({
    linux: { securityContext: { namespaceOptions: { pid: NamespaceMode.TARGET, targetId } } },
  });

  test("a running one of the same pod", async () => {
    const pod = await stage.runPod("debug", withUserns());
    const own = withUserns(POD, { pid: NamespaceMode.CONTAINER });
    const id = await stage.run(pod, "app", BUSYBOX, ["sleep", "4321"], own);
    const helper = await stage.run(pod, "helper", BUSYBOX, SLEEP, target(id));
    expect((await stage.exec(helper, "cat", "/proc/1/cmdline")).out).toBe("sleep\u00004321\u0000");
  });

  test("others are refused", async () => {
    const pod = await stage.runPod("debug");
    const created = await stage.create(pod, "created", BUSYBOX, SLEEP);
    const elsewhere = await stage.run(await stage.runPod("else"), "c", BUSYBOX, SLEEP);
    for (const [id, code] of [
      ["", status.INVALID_ARGUMENT],
      ["f".repeat(64), status.NOT_FOUND],
      [elsewhere, status.INVALID_ARGUMENT],
      [created, status.FAILED_PRECONDITION],
    ] as const) {
      await expect(stage.create(pod, `to-${id}`, BUSYBOX, SLEEP, target(id))).rejects.toMatchObject({ code });
    }
  });
});
