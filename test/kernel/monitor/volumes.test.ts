// Volumes: host directories and files in a container, and mounts that travel between the two.

import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { buildContainerPlan } from "../../../src/spec/build-container-plan.ts";
import { encodePlan } from "../../../src/spec/encode-plan.ts";
import type { ContainerMount } from "../../../src/types/container.ts";
import { volume } from "../../unit/spec/fixture.ts";
import { type TestPod, usePods, writeTree } from "./pod.ts";

const startPod = usePods();

function withMounts(...mounts: ContainerMount[]) {
  return { container: { mounts } };
}

async function textOf(pod: TestPod, args: readonly string[], options = {}): Promise<string> {
  return (await pod.run(args, options)).stdout.toString();
}

describe("directories and files", () => {
  test("writable and read-only", async () => {
    const pod = await startPod();
    writeTree(pod.shared, { note: "from the host" });
    const writable = withMounts(volume("/data", { hostPath: pod.shared }));
    expect(await textOf(pod, ["read", "/data/note"], writable)).toBe("from the host");
    expect(await textOf(pod, ["write", "/data/new", "from inside"], writable)).toBe("write: ok\n");
    expect(readFileSync(join(pod.shared, "new"), "utf8")).toBe("from inside");
    const readonly = withMounts(volume("/data", { hostPath: pod.shared, readonly: true }));
    expect(await textOf(pod, ["write", "/data/new"], readonly)).toBe("write: EROFS\n");
  });

  test("a single file, over one of the image and where there is none", async () => {
    const pod = await startPod();
    const file = join(pod.shared, "file");
    writeFileSync(file, "host");
    pod.addLayer(2, (layer) => writeTree(layer, { "etc/there": "image" }));
    const lowers = [2, 1].map(pod.paths.layerRelative);
    for (const place of ["/etc/there", "/etc/deep/er/new"]) {
      const options = { ...withMounts(volume(place, { hostPath: file })), input: { lowers } };
      expect(await textOf(pod, ["read", place], options)).toBe("host");
    }
    expect(readFileSync(join(pod.paths.layer(2), "etc/there"), "utf8")).toBe("image");
  });

  test("options of a mount hold", async () => {
    const pod = await startPod();
    const mount = volume("/data", { hostPath: pod.shared, mountOptions: ["noexec", "nosuid", "nodev"] });
    const report = await pod.report(withMounts(mount));
    const line = (report.mounts as string[]).find((text) => text.startsWith("/data "));
    expect(line).toMatch(/ rw,nosuid,nodev,noexec/);
  });

  test("one volume inside of another", async () => {
    const pod = await startPod();
    writeTree(pod.shared, { "outer/inner/below": "hidden", "other/top": "seen" });
    const options = withMounts(
      volume("/data/inner", { hostPath: join(pod.shared, "other") }),
      volume("/data", { hostPath: join(pod.shared, "outer") }),
    );
    expect(await textOf(pod, ["read", "/data/inner/top"], options)).toBe("seen");
    expect(await textOf(pod, ["read", "/data/inner/below"], options)).toBe("read: ENOENT\n");
  });

  test("a link in the image where the volume goes stays inside of the root", async () => {
    const pod = await startPod();
    const outside = join(pod.directory, "outside");
    mkdirSync(outside);
    writeTree(pod.shared, { note: "volume" });
    pod.addLayer(2, (layer) => {
      writeTree(layer, { [join(outside, "decoy")]: "image" });
      symlinkSync(outside, join(layer, "link"));
      symlinkSync("../../../../../../..", join(layer, "up"));
    });
    const lowers = [2, 1].map(pod.paths.layerRelative);
    for (const place of ["/link", `/up${outside}`, "/link/made", "/proc/1/root/escaped"]) {
      const options = { ...withMounts(volume(place, { hostPath: pod.shared })), input: { lowers } };
      const outcome = pod.run(["read", `${place}/note`], options);
      if (place.startsWith("/proc")) await expect(outcome).rejects.toMatchObject({ name: "KernelError" });
      else expect((await outcome).stdout.toString(), place).toBe("volume");
    }
    expect(readdirSync(outside)).toEqual([]);
  });
});

test("a missing source is told by its step; after forget the same container can be prepared", async () => {
  const pod = await startPod();
  const missing = join(pod.shared, "missing");
  const options = withMounts(volume("/data", { hostPath: missing }));
  const id = "a".repeat(64);
  const failure = await pod.prepare(["exit", "0"], { ...options, request: { id } }).catch((error) => error);
  expect(failure).toMatchObject({ errno: "ENOENT", path: missing });
  const plan = buildContainerPlan(pod.planInput(["/bin/probe"], options));
  const index = plan.steps.findIndex((step) => step.op === "open-tree");
  expect(failure.step).toBe(`plan:${index}`);
  expect(encodePlan(plan).length).toBeGreaterThan(0);
  await pod.monitor.forget(id);
  mkdirSync(missing);
  const container = await pod.start(["exit", "4"], { ...options, request: { id } });
  expect(await pod.exitOf(container.id)).toMatchObject({ exitCode: 4, signal: 0 });
});

describe("propagation", () => {
  const mounted: string[] = [];
  let pod: TestPod;

  function mountTmpfs(place: string, ...options: string[]): void {
    execFileSync("mount", ["-t", "tmpfs", ...options, "berth-test", place]);
    mounted.push(place);
  }

  beforeEach(async () => {
    pod = await startPod();
    mountTmpfs(pod.shared);
    execFileSync("mount", ["--make-shared", pod.shared]);
    mkdirSync(join(pod.shared, "sub"));
  });

  afterEach(() => {
    for (const place of mounted.splice(0).reverse()) execFileSync("umount", ["-R", "-l", place]);
  });

  async function seesLateMount(propagation: ContainerMount["propagation"]): Promise<boolean> {
    const options = withMounts(volume("/data", { hostPath: pod.shared, propagation }));
    const container = await pod.start(["sleep"], options);
    execFileSync("mount", ["-t", "tmpfs", "berth-test", join(pod.shared, "sub")]);
    writeFileSync(join(pod.shared, "sub/late"), "late");
    const { stdout } = await pod.execAll(container, ["read", "/data/sub/late"]);
    return stdout.toString() === "late";
  }

  test("PRIVATE: what is mounted later does not come in", async () => {
    expect(await seesLateMount("PRIVATE")).toBe(false);
  });

  test("HOST_TO_CONTAINER: it does", async () => {
    expect(await seesLateMount("HOST_TO_CONTAINER")).toBe(true);
  });

  test("BIDIRECTIONAL: it does, and the mount is a peer of the host's", async () => {
    expect(await seesLateMount("BIDIRECTIONAL")).toBe(true);
    const options = withMounts(volume("/data", { hostPath: pod.shared, propagation: "BIDIRECTIONAL" }));
    const inside = await textOf(pod, ["mounts"], options);
    const group = (table: string, place: string) =>
      table
        .split("\n")
        .map((line) => line.split(" "))
        .find((words) => words[4] === place)
        ?.find((word) => word.startsWith("shared:"));
    const ours = group(readFileSync("/proc/self/mountinfo", "utf8"), pod.shared);
    expect(ours).toBeDefined();
    expect(group(inside, "/data")).toBe(ours);
  });

  test("BIDIRECTIONAL with another volume inside: that one stays in the container", async () => {
    mkdirSync(join(pod.shared, "inner"));
    const inner = join(pod.directory, "inner");
    writeTree(inner, { note: "inner" });
    const options = withMounts(
      volume("/data", { hostPath: pod.shared, propagation: "BIDIRECTIONAL" }),
      volume("/data/inner", { hostPath: inner }),
    );
    const container = await pod.start(["sleep"], {
      ...options,
      security: { addCapabilities: ["SYS_ADMIN"] },
    });
    expect((await pod.execAll(container, ["read", "/data/inner/note"])).stdout.toString()).toBe("inner");
    const table = () => readFileSync("/proc/self/mountinfo", "utf8");
    expect(table()).not.toContain(`${pod.shared}/inner `);
    // Both ways all the same.
    execFileSync("mount", ["-t", "tmpfs", "berth-test", join(pod.shared, "sub")]);
    writeFileSync(join(pod.shared, "sub/late"), "late");
    expect((await pod.execAll(container, ["read", "/data/sub/late"])).stdout.toString()).toBe("late");
    mkdirSync(join(pod.shared, "out"));
    const mount = await pod.execAll(container, ["mount", "tmpfs", "/data/out"]);
    expect(mount.stdout.toString()).toBe("mount: ok\n");
    expect(table()).toContain(`${pod.shared}/out `);
  });

  test.each(["HOST_TO_CONTAINER", "BIDIRECTIONAL"] as const)(
    "%s of a mount that is private on the host is refused",
    async (propagation) => {
      execFileSync("mount", ["--make-private", pod.shared]);
      const options = withMounts(volume("/data", { hostPath: pod.shared, propagation }));
      await expect(pod.prepare(["sleep"], options)).rejects.toMatchObject({ errno: "EOPNOTSUPP" });
    },
  );

  test("BIDIRECTIONAL of a mount that only gets mounts from others is refused", async () => {
    execFileSync("mount", ["--make-slave", pod.shared]);
    const options = (propagation: ContainerMount["propagation"]) =>
      withMounts(volume("/data", { hostPath: join(pod.shared, "sub"), propagation }));
    await expect(pod.prepare(["sleep"], options("BIDIRECTIONAL"))).rejects.toMatchObject({
      errno: "EOPNOTSUPP",
    });
  });

  test("mounts below a volume come along; recursive read-only holds for them", async () => {
    mountTmpfs(join(pod.shared, "sub"));
    const plain = volume("/data", { hostPath: pod.shared, readonly: true });
    expect(await textOf(pod, ["write", "/data/x"], withMounts(plain))).toBe("write: EROFS\n");
    expect(await textOf(pod, ["write", "/data/sub/x"], withMounts(plain))).toBe("write: ok\n");
    const recursive = withMounts({ ...plain, recursiveReadOnly: true });
    expect(await textOf(pod, ["write", "/data/sub/x"], recursive)).toBe("write: EROFS\n");
  });
});
