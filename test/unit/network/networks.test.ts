// A driver with several networks, and what it does about attachments that are there: CHECK and GC.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { backgroundCall } from "../../../src/lib/call.ts";
import { attachmentRows, type Fixture, makeFixture, podConfig, podId, printResult } from "./fixture.ts";

const netns = "/proc/self/ns/net";
const call = backgroundCall();
let fixture: Fixture;

beforeEach(() => {
  fixture = makeFixture();
  fixture.plugin("first", printResult("10.213.0.2/24"));
  fixture.plugin("second", printResult("10.213.0.2/24"));
});
afterEach(() => fixture.close());

function configure(cniVersion = "1.0.0"): void {
  const plugins = [{ type: "first" }, { type: "second" }];
  fixture.configure("10-net.conflist", { cniVersion, name: "net", plugins });
}

describe("several networks", () => {
  beforeEach(() => {
    fixture.plugin("other", printResult("10.214.0.9/24"));
    const ports = { capabilities: { portMappings: true } };
    fixture.configure("10-main.conf", { cniVersion: "1.0.0", name: "main", type: "first", ...ports });
    fixture.configure("20-other.conf", { cniVersion: "1.0.0", name: "other", type: "other", ...ports });
  });
  const ports = [{ protocol: "TCP", containerPort: 80, hostPort: 8080, hostIp: "" }] as const;

  test("each gets an interface, the first one the address of the pod and the published ports", async () => {
    const driver = fixture.driver({ maxNetworks: 2 });
    const network = await driver.setUp(call, podId, netns, podConfig({ portMappings: ports }));
    expect(network).toMatchObject({
      ips: ["10.213.0.2"],
      interfaces: [
        { name: "eth0", network: "main" },
        { name: "eth1", network: "other" },
      ],
    });
    expect(fixture.environment("ADD", "other").CNI_IFNAME).toBe("eth1");
    expect(fixture.input("ADD", "first").runtimeConfig).toMatchObject({ portMappings: [{ hostPort: 8080 }] });
    expect(fixture.input("ADD", "other").runtimeConfig).toBeUndefined();
    await driver.tearDown(call, podId, netns, podConfig());
    expect(fixture.calls().slice(2)).toEqual(["DEL other", "DEL first"]);
    expect(attachmentRows(fixture.store)).toBe(0);
  });

  test("a failure of the second undoes the first", async () => {
    const later = `echo '{"code":11,"msg":"later"}'; exit 1`;
    fixture.plugin("other", `[ "$CNI_COMMAND" = DEL ] && exit 0; ${later}`);
    const failed = fixture.driver({ maxNetworks: 2 }).setUp(call, podId, netns, podConfig());
    await expect(failed).rejects.toThrow('network "other" of pod "default/web"');
    expect(fixture.calls()).toEqual(["ADD first", "ADD other", "DEL other", "DEL first"]);
    expect(attachmentRows(fixture.store)).toBe(0);
  });

  test("a DEL that fails does not keep the other network", async () => {
    const driver = fixture.driver({ maxNetworks: 2 });
    await driver.setUp(call, podId, netns, podConfig());
    fixture.plugin("other", "exit 1");
    await expect(driver.tearDown(call, podId, netns, podConfig())).rejects.toThrow('network "other"');
    expect(attachmentRows(fixture.store)).toBe(1);
    expect(fixture.calls().slice(2)).toEqual(["DEL other", "DEL first"]);
  });
});

test("a pod that wants no network gets none, and nothing else can be asked for", async () => {
  configure();
  const driver = fixture.driver();
  const annotated = (value: string) => podConfig({ annotations: { "berth.network": value } });
  expect(await driver.setUp(call, podId, netns, annotated("none"))).toEqual({ ips: [] });
  await expect(driver.setUp(call, podId, netns, annotated("host"))).rejects.toMatchObject({
    code: "INVALID_ARGUMENT",
  });
  expect(fixture.calls()).toEqual([]);
});

test("capabilities that a plugin declares: ranges, DNS, cgroup and annotations of the pod", async () => {
  const names = ["ipRanges", "dns", "cgroupPath", "io.kubernetes.cri.pod-annotations"];
  const capabilities = Object.fromEntries(names.map((name) => [name, true]));
  fixture.configure("10-net.conf", { cniVersion: "1.0.0", name: "net", type: "first", capabilities });
  const driver = fixture.driver();
  driver.setPodCidrs(["10.9.0.0/24", "fd00:9::/64"]);
  const dns = { servers: ["10.96.0.10"], searches: ["cluster.local"], options: ["ndots:5"] };
  const annotations = { team: "blue" };
  const config = podConfig({ dns, annotations, cgroupParent: "/kubepods/pod1" });
  await driver.setUp(call, podId, netns, config);
  expect(fixture.input("ADD", "first").runtimeConfig).toEqual({
    ipRanges: [[{ subnet: "10.9.0.0/24" }], [{ subnet: "fd00:9::/64" }]],
    dns,
    cgroupPath: "/kubepods/pod1",
    "io.kubernetes.cri.pod-annotations": annotations,
  });
});

describe("check", () => {
  test("asks every plugin, in order, with the result of the ADD", async () => {
    configure("0.4.0");
    const driver = fixture.driver();
    await driver.setUp(call, podId, netns, podConfig());
    expect(await driver.check(podId, netns)).toBe("");
    expect(fixture.calls().slice(2)).toEqual(["CHECK first", "CHECK second"]);
    expect(fixture.input("CHECK", "second").prevResult).toMatchObject({
      ips: [{ address: "10.213.0.2/24" }],
    });
    expect(fixture.environment("CHECK", "first")).toMatchObject({ CNI_NETNS: netns, CNI_IFNAME: "eth0" });
    fixture.plugin("second", `echo '{"code":101,"msg":"route is gone"}'; exit 1`);
    expect(await driver.check(podId, netns)).toContain("route is gone");
    expect(await driver.check(podId, "/nonexistent")).toContain('"/nonexistent" is gone');
  });

  test.each([
    ["0.3.1", {}],
    ["1.0.0", { disableCheck: true }],
  ])("not in version %s with %j", async (cniVersion, more) => {
    fixture.configure("10.conflist", { cniVersion, name: "net", plugins: [{ type: "first" }], ...more });
    const driver = fixture.driver();
    await driver.setUp(call, podId, netns, podConfig());
    expect(await driver.check(podId, netns)).toBe("");
    expect(fixture.calls()).toEqual(["ADD first"]);
  });
});

describe("collectGarbage", () => {
  test("tells every plugin what is attached, also of a network that is not configured any more", async () => {
    configure("1.1.0");
    const driver = fixture.driver();
    await driver.setUp(call, podId, netns, podConfig());
    fixture.plugin("first", "exit 1");
    rmSync(join(fixture.confDir, "10-net.conflist"));
    await driver.collectGarbage();
    expect(fixture.calls().slice(2)).toEqual(["GC first", "GC second"]);
    const valid = [{ containerID: podId, ifname: "eth0" }];
    expect(fixture.input("GC", "second")).toMatchObject({ name: "net", "cni.dev/valid-attachments": valid });
    expect(fixture.environment("GC", "second")).not.toHaveProperty("CNI_CONTAINERID");
  });

  test.each([
    ["1.0.0", {}],
    ["1.1.0", { disableGC: true }],
  ])("not in version %s with %j", async (cniVersion, more) => {
    fixture.configure("10.conflist", { cniVersion, name: "net", plugins: [{ type: "first" }], ...more });
    await fixture.driver().collectGarbage();
    expect(fixture.calls()).toEqual([]);
  });

  test("no pod is attached meanwhile: its address would be garbage", async () => {
    configure("1.1.0");
    const result = printResult("10.213.0.2/24", "1.1.0");
    fixture.plugin("first", `[ "$CNI_COMMAND" = GC ] && sleep 0.3; ${result}`);
    const driver = fixture.driver();
    const collected = driver.collectGarbage().then(() => fixture.calls().length);
    await expect.poll(() => fixture.calls()).toContain("GC first");
    await driver.setUp(call, podId, netns, podConfig());
    expect(await collected).toBe(2);
    expect(fixture.calls()).toEqual(["GC first", "GC second", "ADD first", "ADD second"]);
  });
});
