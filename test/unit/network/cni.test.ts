import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { backgroundCall, silentLogger } from "../../../src/lib/call.ts";
import {
  attachmentRows,
  type Fixture,
  insertPodRow,
  makeFixture,
  otherPodId,
  podConfig,
  podId,
  printResult,
} from "./fixture.ts";

/** A network namespace that exists: plugins of these tests do not enter it. */
const netns = "/proc/self/ns/net";
const call = backgroundCall();
let fixture: Fixture;

beforeEach(() => {
  fixture = makeFixture();
  fixture.plugin("first", printResult("10.213.0.2/24"));
  fixture.plugin("second", printResult("10.213.0.2/24"));
});
afterEach(() => fixture.close());

function configure(version = "1.0.0"): void {
  const second = { type: "second", capabilities: { portMappings: true, bandwidth: true, mac: true } };
  fixture.configure("10-net.conflist", {
    cniVersion: version,
    name: "net",
    plugins: [{ type: "first" }, second],
  });
}

describe("setUp", () => {
  test("adds the chain in order, each plugin with the result before it", async () => {
    configure();
    const ips = await fixture.driver().setUp(call, podId, netns, podConfig());
    const ip = "10.213.0.2";
    expect(ips).toEqual({ ips: [ip], interfaces: [{ name: "eth0", network: "net", ips: [ip] }] });
    expect(fixture.calls()).toEqual(["ADD first", "ADD second"]);
    expect(fixture.input("ADD", "first")).toEqual({ type: "first", name: "net", cniVersion: "1.0.0" });
    expect(fixture.input("ADD", "second")).toMatchObject({
      prevResult: { ips: [{ address: "10.213.0.2/24" }] },
    });
    expect(fixture.environment("ADD", "first")).toMatchObject({
      CNI_CONTAINERID: podId,
      CNI_NETNS: netns,
      CNI_IFNAME: "eth0",
      CNI_ARGS:
        "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;" +
        `K8S_POD_INFRA_CONTAINER_ID=${podId};K8S_POD_UID=u-1`,
    });
  });

  test("hands declared capabilities over: published ports and bandwidth", async () => {
    configure();
    const ports = [
      { protocol: "TCP", containerPort: 80, hostPort: 8080, hostIp: "" },
      { protocol: "SCTP", containerPort: 81, hostPort: 8081, hostIp: "127.0.0.1" },
      { protocol: "UDP", containerPort: 82, hostPort: 0, hostIp: "" },
    ] as const;
    const annotations = { "kubernetes.io/ingress-bandwidth": "10M" };
    await fixture.driver().setUp(call, podId, netns, podConfig({ portMappings: ports, annotations }));
    expect(fixture.input("ADD", "first").runtimeConfig).toBeUndefined();
    expect(fixture.input("ADD", "second").runtimeConfig).toEqual({
      portMappings: [
        { hostPort: 8080, containerPort: 80, protocol: "tcp" },
        { hostPort: 8081, containerPort: 81, protocol: "sctp", hostIP: "127.0.0.1" },
      ],
      bandwidth: { ingressRate: 10_000_000, ingressBurst: 2147483647 },
    });
  });

  test("an undo that fails keeps the record for the next tear-down", async () => {
    configure();
    fixture.plugin("first", `echo '{"code":100,"msg":"no"}'; exit 1`);
    const driver = fixture.driver();
    const failed = driver.setUp(call, podId, netns, podConfig());
    // The undo runs the same plugin, which fails again: what was recorded stays.
    await expect(failed).rejects.toThrow('network "net" of pod "default/web": CNI ADD by plugin "first": no');
    expect(attachmentRows(fixture.store)).toBe(1);
    fixture.plugin("first", "exit 0");
    await driver.tearDown(call, podId, netns, podConfig());
    expect(attachmentRows(fixture.store)).toBe(0);
  });

  test("a failure undoes what was tried, and only that", async () => {
    configure();
    fixture.plugin("second", `[ "$CNI_COMMAND" = DEL ] && exit 0; echo '{"code":11,"msg":"later"}'; exit 1`);
    const third = { type: "first", note: "never run" };
    fixture.configure("10-net.conflist", {
      cniVersion: "1.0.0",
      name: "net",
      plugins: [{ type: "first" }, { type: "second" }, third],
    });
    const failed = fixture.driver().setUp(call, podId, netns, podConfig());
    await expect(failed).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(fixture.calls()).toEqual(["ADD first", "ADD second", "DEL second", "DEL first"]);
    expect(attachmentRows(fixture.store)).toBe(0);
  });

  test.each([
    ["garbage", "echo garbage"],
    ["no address", `[ "$CNI_COMMAND" = ADD ] && echo '{"cniVersion":"1.0.0"}'; exit 0`],
  ])("a result with %s is an error and is undone", async (_, body) => {
    fixture.configure("10-net.conf", { cniVersion: "1.0.0", name: "net", type: "first" });
    fixture.plugin("first", body);
    await expect(fixture.driver().setUp(call, podId, netns, podConfig())).rejects.toThrow('network "net"');
    expect(fixture.calls()).toEqual(["ADD first", "DEL first"]);
    expect(attachmentRows(fixture.store)).toBe(0);
  });

  test("a caller that went away stops the chain, and what was done is undone", async () => {
    configure();
    const gone = new AbortController();
    fixture.plugin("first", printResult("10.213.0.2/24"));
    const leaving = { ...call, signal: gone.signal };
    const started = fixture.driver().setUp(leaving, podId, netns, podConfig());
    gone.abort();
    await expect(started).rejects.toMatchObject({ code: "CANCELLED" });
    expect(attachmentRows(fixture.store)).toBe(0);
  });

  test("a pod's name cannot smuggle arguments to the plugins", async () => {
    configure();
    const metadata = { name: "web;K8S_POD_NAMESPACE=kube-system", namespace: "default", uid: "", attempt: 0 };
    const failed = fixture.driver().setUp(call, podId, netns, podConfig({ metadata }));
    await expect(failed).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(fixture.calls()).toEqual([]);
  });

  test("a missing plugin fails before anything is done", async () => {
    configure();
    rmSync(join(fixture.binDir, "second"));
    await expect(fixture.driver().setUp(call, podId, netns, podConfig())).rejects.toThrow(
      'CNI plugins "second"',
    );
    expect(fixture.calls()).toEqual([]);
    expect(attachmentRows(fixture.store)).toBe(0);
  });

  test("files that are all invalid are not replaced by the default network", async () => {
    fixture.configure("10-net.conflist", "{");
    await expect(fixture.driver().setUp(call, podId, netns, podConfig())).rejects.toThrow("no valid CNI");
  });

  test("a pod cannot be attached twice, several pods can at once", async () => {
    configure();
    const driver = fixture.driver();
    await Promise.all([podId, otherPodId].map((id) => driver.setUp(call, id, netns, podConfig())));
    await expect(driver.setUp(call, podId, netns, podConfig())).rejects.toThrow("is attached already");
    expect(attachmentRows(fixture.store)).toBe(2);
  });
});

describe("tearDown", () => {
  test("after a restart and with another configuration deletes what was added, in reverse", async () => {
    configure();
    const before = fixture.driver();
    const ports = [{ protocol: "TCP", containerPort: 80, hostPort: 8080, hostIp: "" }] as const;
    await before.setUp(call, podId, netns, podConfig({ portMappings: ports }));
    before.close();
    rmSync(join(fixture.confDir, "10-net.conflist"));
    const after = fixture.driver();
    await after.tearDown(call, podId, netns, podConfig());
    expect(fixture.calls().slice(2)).toEqual(["DEL second", "DEL first"]);
    expect(fixture.input("DEL", "second")).toMatchObject({
      runtimeConfig: { portMappings: [{ hostPort: 8080 }] },
      prevResult: { cniVersion: "1.0.0", ips: [{ address: "10.213.0.2/24" }] },
    });
    expect(fixture.environment("DEL", "first")).toMatchObject({ CNI_NETNS: netns, CNI_CONTAINERID: podId });
    await after.tearDown(call, podId, netns, podConfig());
    expect(fixture.calls()).toHaveLength(4);
  });

  test.each(["", "/nonexistent/netns", "/etc/hostname"])(
    "tells plugins that %j is no namespace",
    async (path) => {
      configure();
      const driver = fixture.driver();
      await driver.setUp(call, podId, netns, podConfig());
      await driver.tearDown(call, podId, path, podConfig());
      expect(fixture.environment("DEL", "first").CNI_NETNS).toBe("");
      expect(attachmentRows(fixture.store)).toBe(0);
    },
  );

  test("a DEL that fails rejects and is done again by the next call", async () => {
    configure();
    const driver = fixture.driver();
    await driver.setUp(call, podId, netns, podConfig());
    fixture.plugin("first", `echo '{"code":100,"msg":"busy"}'; exit 1`);
    await expect(driver.tearDown(call, podId, netns, podConfig())).rejects.toThrow("busy");
    expect(attachmentRows(fixture.store)).toBe(1);
    fixture.plugin("first", "exit 0");
    await driver.tearDown(call, podId, netns, podConfig());
    expect(attachmentRows(fixture.store)).toBe(0);
  });

  test("works although the caller went away", async () => {
    configure();
    const driver = fixture.driver();
    await driver.setUp(call, podId, netns, podConfig());
    const gone = { ...call, signal: AbortSignal.abort() };
    await driver.tearDown(gone, podId, netns, podConfig());
    expect(attachmentRows(fixture.store)).toBe(0);
  });

  test("a DEL of version 0.3.1 has no prevResult", async () => {
    configure("0.3.1");
    const driver = fixture.driver();
    await driver.setUp(call, podId, netns, podConfig());
    await driver.tearDown(call, podId, netns, podConfig());
    expect(fixture.input("ADD", "second").prevResult).toBeDefined();
    expect(fixture.input("DEL", "second").prevResult).toBeUndefined();
  });
});

describe("status", () => {
  test("ready with a valid configuration, with the invalid files named", async () => {
    configure();
    fixture.configure("00-old.conf", '{"name":"old"}');
    const status = await fixture.driver().status();
    expect(status).toMatchObject({ ready: true, reason: "" });
    expect(status.message).toContain('network "net" from');
    expect(status.message).toContain("00-old.conf");
  });

  test("names the directory when every file is invalid", async () => {
    fixture.configure("10-net.conflist", "{");
    const status = await fixture.driver().status();
    expect(status).toMatchObject({ ready: false, reason: "InvalidCNIConfiguration" });
    expect(status.message).toContain(fixture.confDir);
  });

  test("the default network needs its plugins", async () => {
    const driver = fixture.driver();
    const status = await driver.status();
    expect(status).toMatchObject({ ready: false, reason: "CNIPluginMissing" });
    expect(status.message).toContain('CNI plugins "bridge", "host-local", "portmap" are in none of');
    for (const name of ["bridge", "host-local", "portmap"]) fixture.plugin(name, "exit 0");
    expect(await driver.status()).toMatchObject({ ready: true });
  });

  test("asks plugins of 1.1.0", async () => {
    configure("1.1.0");
    const driver = fixture.driver();
    expect(await driver.status()).toMatchObject({ ready: true });
    expect(fixture.calls()).toEqual(["STATUS first", "STATUS second"]);
    fixture.plugin("second", `echo '{"code":50,"msg":"no daemon"}'; exit 1`);
    const status = await driver.status();
    expect(status).toMatchObject({ ready: false, reason: "CNIPluginNotReady" });
    expect(status.message).toContain("no daemon");
  });
});

test("pushed CIDRs are the default network's addresses, also after a restart", async () => {
  fixture.plugin("host-local", "exit 0");
  fixture.plugin("bridge", printResult("10.9.0.2/24"));
  const before = fixture.driver();
  before.setPodCidrs(["10.9.0.0/24"]);
  before.setPodCidrs([""]);
  expect(() => before.setPodCidrs(["10.9.0.0"])).toThrow("is not a network");
  before.close();
  await fixture.driver().setUp(call, podId, netns, podConfig());
  expect(fixture.input("ADD", "bridge").ipam).toMatchObject({ ranges: [[{ subnet: "10.9.0.0/24" }]] });
});

test("operations of one pod wait for each other", async () => {
  configure();
  const driver = fixture.driver();
  const third = "c".repeat(64);
  insertPodRow(fixture.store, third);
  const up = driver.setUp(backgroundCall(silentLogger), third, netns, podConfig());
  const down = driver.tearDown(call, third, netns, podConfig());
  await Promise.all([up, down]);
  expect(fixture.calls()).toEqual(["ADD first", "ADD second", "DEL second", "DEL first"]);
  expect(attachmentRows(fixture.store)).toBe(0);
});
