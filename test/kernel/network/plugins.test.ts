// CNI lists as administrators write them, with the real plugins: what they leave in the kernel, and that
// nothing stays. The plugins are built from test/cni: Debian's do not speak CNI 1.1.

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { backgroundCall, silentLogger } from "../../../src/lib/call.ts";
import { makeCniDriver } from "../../../src/network/cni.ts";
import type { NetworkDriver } from "../../../src/network/driver.ts";
import { deleteAttachment } from "../../../src/store/attachments.ts";
import { openStore, type Store } from "../../../src/store/open.ts";
import type { NetworkConfig } from "../../../src/types/config.ts";
import type { PodConfig } from "../../../src/types/pod.ts";
import { attachmentRows, insertPodRow, podConfig } from "../../unit/network/fixture.ts";
import { cleanHost, freePort, leasedAddresses, natRules, portsOf, serveInside, stopProcess } from "./host.ts";
import { loadNetnsKernel } from "./native.ts";

const kernel = loadNetnsKernel();
const call = backgroundCall();
const plugins = join(import.meta.dirname, "../../../out/tools/cni");
const flannelEnvironment = "/run/flannel/subnet.env";
const flannelState = "/var/lib/cni/flannel";
const tag = String(process.pid).slice(-6);
const third = 16 + (process.pid % 200);
const prefix = `10.215.${third}`;

let root: string;
let store: Store;
let rulesBefore: string[];
let count = 0;
const drivers: NetworkDriver[] = [];
const attached: { driver: NetworkDriver; id: string; netns: string }[] = [];
const used = { bridges: new Set<string>(), networks: new Set<string>() };

beforeAll(() => {
  rulesBefore = natRules();
  root = mkdtempSync(join(tmpdir(), "berth-cni-"));
  writeFileSync(join(root, "index.html"), "hello from the pod\n");
  store = openStore(":memory:");
});
beforeEach(() => {
  rmSync(join(root, "net.d"), { recursive: true, force: true });
  mkdirSync(join(root, "net.d"));
});

afterAll(async () => {
  const torn = await Promise.allSettled(
    attached.map(({ driver, id, netns }) => driver.tearDown(call, id, netns, podConfig())),
  );
  for (const path of await kernel.listNetns(root)) await kernel.removeNetns(path);
  for (const driver of drivers) driver.close();
  cleanHost([...used.bridges], [...used.networks], rulesBefore);
  rmSync(root, { recursive: true });
  expect(torn.filter((result) => result.status === "rejected")).toEqual([]);
  expect(attachmentRows(store)).toBe(0);
  expect(natRules().filter((rule) => rule.includes(`${prefix}.`))).toEqual([]);
});

function configure(file: string, list: { name: string; [key: string]: unknown }): void {
  used.networks.add(list.name);
  writeFileSync(join(root, "net.d", file), JSON.stringify(list));
}

function makeDriver(options: Partial<NetworkConfig> = {}): NetworkDriver {
  const config = {
    cniConfDir: join(root, "net.d"),
    cniBinDirs: [plugins],
    defaultSubnet: `${prefix}.0/24`,
    defaultSubnetV6: "",
    maxNetworks: 1,
    pluginTimeoutMs: 60_000,
    ...options,
  };
  const driver = makeCniDriver({ config, store, log: silentLogger });
  drivers.push(driver);
  return driver;
}

/** A pod with nothing but its network. */
async function attachPod(driver: NetworkDriver, changes: Partial<PodConfig> = {}) {
  count += 1;
  const id = `${count}`.padStart(4, "0") + tag.padStart(60, "a");
  insertPodRow(store, id);
  const netns = join(root, `ns-${count}`);
  await kernel.createNetns(netns);
  attached.push({ driver, id, netns });
  const network = await driver.setUp(call, id, netns, podConfig(changes));
  return { id, netns, network };
}

function inside(netns: string, ...command: string[]): string {
  return execFileSync("nsenter", [`--net=${netns}`, ...command], { encoding: "utf8" });
}

function bridge(letter: string, network: number, more: object = {}) {
  const name = `bc${letter}${tag}`;
  used.bridges.add(name);
  const ranges = [[{ subnet: `${prefix}.${network * 32}/27` }]];
  const ipam = { type: "host-local", ranges, routes: [{ dst: "0.0.0.0/0" }] };
  return { type: "bridge", bridge: name, isGateway: true, ipMasq: true, ipam, ...more };
}

async function served(netns: string, url: string): Promise<void> {
  const server = serveInside(netns, root);
  try {
    const ask = async () => {
      const options = { signal: AbortSignal.timeout(2000), headers: { connection: "close" } };
      expect(await (await fetch(url, options)).text()).toBe("hello from the pod\n");
    };
    await vi.waitFor(ask, { timeout: 8000 });
  } finally {
    await stopProcess(server);
  }
}

describe("CNI 1.1", () => {
  const name = `net11-${tag}`;
  const list = () => ({ cniVersion: "1.1.0", name, plugins: [bridge("a", 0)] });

  test("STATUS, ADD, CHECK of what is there and of what somebody took away, DEL", async () => {
    configure("10.conflist", list());
    const driver = makeDriver();
    expect(await driver.status()).toMatchObject({ ready: true });
    const { id, netns } = await attachPod(driver);
    expect(await driver.check(id, netns)).toBe("");
    inside(netns, "ip", "route", "del", "default");
    expect(await driver.check(id, netns)).toMatch(/CNI CHECK by plugin "bridge": .*route/i);
    await driver.tearDown(call, id, netns, podConfig());
    expect(leasedAddresses(name)).toEqual([]);
  });

  test("GC gives back what nobody recorded and keeps what is in use", async () => {
    // The bridge plugin does not pass GC on to the one that gives addresses: here that one stands for itself.
    const { ipam } = bridge("a", 3);
    const name = `gc-${tag}`;
    configure("10.conflist", { cniVersion: "1.1.0", name, plugins: [{ type: "host-local", ipam }] });
    const driver = makeDriver();
    const kept = await attachPod(driver);
    const lost = await attachPod(driver);
    expect(leasedAddresses(name)).toHaveLength(2);
    deleteAttachment(store, lost.id, 0);
    await driver.collectGarbage();
    expect(leasedAddresses(name)).toEqual(kept.network.ips);
    expect(await driver.check(kept.id, kept.netns)).toBe("");
    await driver.tearDown(call, kept.id, kept.netns, podConfig());
  });
});

test("flannel's chain: a delegate configuration and /run/flannel/subnet.env", async (ctx) => {
  ctx.skip(existsSync(flannelEnvironment), `${flannelEnvironment} is this host's own`);
  const cbr = `bf${tag}`;
  used.bridges.add(cbr);
  configure("10-flannel.conflist", {
    cniVersion: "0.3.1",
    name: `cbr-${tag}`,
    plugins: [
      { type: "flannel", delegate: { bridge: cbr, hairpinMode: true, isDefaultGateway: true } },
      { type: "portmap", capabilities: { portMappings: true } },
    ],
  });
  const driver = makeDriver();
  // Before flanneld has written its file the plugin fails, in its own words.
  const early = await attachPod(driver).catch((error: Error) => error);
  expect(String(early)).toMatch(/CNI ADD by plugin "flannel": .*subnet\.env/);
  mkdirSync("/run/flannel", { recursive: true });
  const lines = [
    `FLANNEL_NETWORK=${prefix}.0/24`,
    `FLANNEL_SUBNET=${prefix}.97/27`,
    "FLANNEL_MTU=1450",
    "FLANNEL_IPMASQ=true",
  ];
  writeFileSync(flannelEnvironment, `${lines.join("\n")}\n`);
  try {
    const port = await freePort();
    const portMappings = [{ protocol: "TCP", containerPort: 80, hostPort: port, hostIp: "" }] as const;
    const { id, netns, network } = await attachPod(driver, { portMappings });
    expect(network.ips).toEqual([expect.stringMatching(new RegExp(`^${prefix}\\.(9[89]|1[01]\\d)$`))]);
    expect(inside(netns, "ip", "link", "show", "eth0")).toContain("mtu 1450");
    expect(inside(netns, "ip", "route")).toContain(`${prefix}.0/24 via ${prefix}.97 dev eth0`);
    await served(netns, `http://${network.ips[0]}/`);
    await served(netns, `http://127.0.0.1:${port}/`);
    await driver.tearDown(call, id, netns, podConfig());
    expect(portsOf(cbr)).toEqual([]);
    expect(leasedAddresses(`cbr-${tag}`)).toEqual([]);
    expect(existsSync(join(flannelState, id))).toBe(false);
  } finally {
    rmSync(flannelEnvironment);
    for (const empty of ["/run/flannel", flannelState]) {
      if (existsSync(empty) && readdirSync(empty).length === 0) rmSync(empty, { recursive: true });
    }
  }
});

test("two networks: two interfaces, one default route", async () => {
  configure("10-main.conflist", { cniVersion: "1.0.0", name: `main-${tag}`, plugins: [bridge("m", 1)] });
  const ranges = [[{ subnet: `${prefix}.64/27` }]];
  const second = bridge("s", 2, { ipMasq: false, ipam: { type: "host-local", ranges } });
  configure("20-storage.conflist", { cniVersion: "1.0.0", name: `storage-${tag}`, plugins: [second] });
  const driver = makeDriver({ maxNetworks: 2 });
  const { id, netns, network } = await attachPod(driver);
  expect(network.interfaces?.map(({ name }) => name)).toEqual(["eth0", "eth1"]);
  expect(network.ips).toEqual(network.interfaces?.[0]?.ips);
  const addresses = inside(netns, "ip", "-o", "-4", "address");
  for (const { name, ips } of network.interfaces ?? []) {
    expect(addresses).toMatch(new RegExp(`${name}\\s+inet ${ips[0]}/27`));
  }
  expect(inside(netns, "ip", "route").match(/^default/gm)).toHaveLength(1);
  await driver.tearDown(call, id, netns, podConfig());
  expect(leasedAddresses(`storage-${tag}`)).toEqual([]);
});

test("bandwidth annotations become queues on the pod's interface", async () => {
  configure("10.conflist", {
    cniVersion: "1.0.0",
    name: `slow-${tag}`,
    plugins: [bridge("b", 1), { type: "bandwidth", capabilities: { bandwidth: true } }],
  });
  const driver = makeDriver();
  const annotations = { "kubernetes.io/ingress-bandwidth": "10M", "kubernetes.io/egress-bandwidth": "20M" };
  const { id, netns } = await attachPod(driver, { annotations });
  const [port = ""] = portsOf(`bcb${tag}`);
  expect(execFileSync("tc", ["qdisc", "show", "dev", port], { encoding: "utf8" })).toContain("rate 10Mbit");
  await driver.tearDown(call, id, netns, podConfig());
});

test("berth's default network in two address families", async () => {
  const bridgeName = `bd${tag}`;
  const v6 = `fd00:${third}:1`;
  used.bridges.add(bridgeName);
  used.networks.add(`berth-${bridgeName}`);
  const driver = makeDriver({ bridgeName, defaultSubnetV6: `${v6}::/64` });
  const { id, netns, network } = await attachPod(driver);
  expect(network.ips).toEqual([
    expect.stringMatching(/^10\.215\./),
    expect.stringMatching(/^fd00:\d+:1::[0-9a-f]+$/),
  ]);
  expect(inside(netns, "ip", "-6", "route")).toContain(`default via ${v6}::1 dev eth0`);
  // busybox httpd listens on the wildcard address of both families.
  await served(netns, `http://[${network.ips[1]}]/`);
  await driver.tearDown(call, id, netns, podConfig());
  const rules = spawnSync("ip6tables", ["-w", "-t", "nat", "-S"], { encoding: "utf8" }).stdout;
  expect(rules).not.toContain(`${v6}::`);
});
