import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { logPathOf } from "../../../src/containers/log-path.ts";
import { prepareContainer } from "../../../src/containers/prepare-container.ts";
import { SeccompCache } from "../../../src/containers/seccomp-cache.ts";
import { parseSignal, stopSignalOf } from "../../../src/containers/stop-signal.ts";
import { FakeKernel } from "../../../src/kernel/fake.ts";
import { KernelError } from "../../../src/lib/errors.ts";
import { FakeMonitor } from "../../../src/monitor/fake.ts";
import { makePaths } from "../../../src/paths.ts";
import type { Plan } from "../../../src/types/plan.ts";
import { containerConfig, podConfig } from "./world.ts";

describe("prepareContainer", () => {
  const events = { onExit() {}, onLost() {} };

  function setUp(source: string, hostPath: string, logPath = "") {
    const monitor = new FakeMonitor("p", events, {
      failures: new Map(),
      spawn: () => ({ pid: 5, startTime: 6 }),
      known: new Map(),
    });
    const plan: Plan = {
      cloneFlags: 0,
      pidNamespace: "own",
      steps: [
        { op: "ready" },
        { op: "open-tree", slot: 0, source, recursive: true, idMap: "none", requiredPropagation: 0 },
      ],
    };
    const mount = {
      containerPath: "/data",
      hostPath,
      readonly: false,
      selinuxRelabel: false,
      propagation: "PRIVATE" as const,
      uidMappings: [],
      gidMappings: [],
      recursiveReadOnly: false,
      imageSubPath: "",
      mountOptions: [],
    };
    const container = {
      id: "c",
      cgroupPath: "/cg/c",
      logPath,
      config: containerConfig({ mounts: [mount] }),
    };
    const prepare = monitor.prepare.bind(monitor);
    let tries = 0;
    monitor.prepare = async (request) => {
      tries++;
      if (!existsSync(source)) throw new KernelError("plan:1", "ENOENT", source);
      return await prepare(request);
    };
    return { monitor, run: () => prepareContainer(monitor, container, plan), tries: () => tries };
  }

  function directory(): string {
    const path = mkdtempSync(join(tmpdir(), "berth-unit-"));
    onTestFinished(() => rmSync(path, { recursive: true, force: true }));
    return path;
  }

  test("makes a missing volume and tries again", async () => {
    const path = join(directory(), "a/b");
    const { run, tries } = setUp(path, path);
    expect(await run()).toEqual({ pid: 5, startTime: 6 });
    expect(tries()).toBe(2);
  });

  test("makes the log's directory when the monitor misses it", async () => {
    const path = directory();
    const { monitor, run, tries } = setUp(path, path, join(path, "logs/c/0.log"));
    const prepare = monitor.prepare.bind(monitor);
    monitor.prepare = async (request) => {
      if (existsSync(join(path, "logs/c"))) return await prepare(request);
      throw new KernelError("open log", "ENOENT", request.logPath);
    };
    expect(await run()).toEqual({ pid: 5, startTime: 6 });
    expect(tries()).toBe(1);
  });

  test("makes nothing that no mount asks for", async () => {
    const path = join(directory(), "a/b");
    const { run, tries } = setUp(path, "/other");
    await expect(run()).rejects.toThrow("create container");
    expect(tries()).toBe(1);
    expect(existsSync(path)).toBe(false);
  });
});

describe("stop signals", () => {
  test.each([
    ["SIGQUIT", 3],
    ["quit", 3],
    ["3", 3],
    ["SIGRTMIN+3", 37],
    ["RTMAX-1", 63],
    ["64", 64],
  ])("%s is %i", (text, number) => expect(parseSignal(text)).toBe(number));

  test.each(["SIGNOTHING", "65", "-1", "SIGRTMIN+99", "__proto__"])("%s is none", (text) => {
    expect(() => parseSignal(text)).toThrow("no such signal");
  });

  test("the config's comes first, then the image's, then SIGTERM", () => {
    expect(stopSignalOf(12, "SIGQUIT")).toBe(12);
    expect(stopSignalOf(0, "SIGQUIT")).toBe(3);
    expect(stopSignalOf(0, "")).toBe(15);
  });
});

describe("logPathOf", () => {
  const paths = makePaths("/root", "/state", "/sock");
  const pod = (logDirectory: string) => ({ id: "p", config: podConfig({ logDirectory }) });

  test.each([
    ["/var/log/pods/x", "c/0.log", "/var/log/pods/x/c/0.log"],
    ["", "c/0.log", "/root/logs/p/c/0.log"],
    ["", "/tmp/a.log", "/tmp/a.log"],
    ["/var/log/pods/x", "", ""],
    ["/var/log/pods/x", "a/../b.log", "/var/log/pods/x/b.log"],
  ])("%s and %s give %s", (directory, path, full) =>
    expect(logPathOf(paths, pod(directory), path)).toBe(full),
  );

  test.each(["..", "../x", "a/../../x", "."])("%s is refused", (path) => {
    expect(() => logPathOf(paths, pod("/var/log/pods/x"), path)).toThrow("leads out");
  });
});

test("a seccomp profile is compiled once", async () => {
  const kernel = new FakeKernel();
  const cache = new SeccompCache(kernel);
  const rules = { defaultAction: "SCMP_ACT_ALLOW", defaultErrno: 1, architectures: [], rules: [] };
  await cache.get(() => rules);
  await cache.get(() => ({ ...rules }));
  await cache.get(() => ({ ...rules, defaultErrno: 2 }));
  expect(kernel.names()).toEqual(["compileSeccomp", "compileSeccomp"]);
});
