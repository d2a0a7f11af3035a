// berth's own network with the real plugins: what they leave in the kernel, and that nothing stays.

import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { backgroundCall, silentLogger } from "../../../src/lib/call.ts";
import { makeCniDriver } from "../../../src/network/cni.ts";
import type { NetworkDriver } from "../../../src/network/driver.ts";
import { openStore, type Store } from "../../../src/store/open.ts";
import { attachmentRows, insertPodRow, podConfig } from "../../unit/network/fixture.ts";
import {
  cleanHost,
  freePort,
  hostAddress,
  leasedAddresses,
  natRules,
  portsOf,
  serveInside,
  stopProcess,
} from "./host.ts";
import { loadNetnsKernel } from "./native.ts";

const kernel = loadNetnsKernel();
const call = backgroundCall();
const bridge = `bt${process.pid}`;
const network = `berth-${bridge}`;
const third = 16 + (process.pid % 200);
const prefix = `10.213.${third}`;
const pushedPrefix = `10.214.${third}`;
const ids = ["a", "b", "c", "d"].map(
  (letter) => letter.repeat(60) + String(process.pid).padStart(8, "0").slice(-4),
);
const [first, second, pushed, lost] = ids as [string, string, string, string];

let root: string;
let store: Store;
let rulesBefore: string[];
let driver: NetworkDriver;
const extra: { bridges: string[]; networks: string[] } = { bridges: [], networks: [] };

beforeAll(() => {
  rulesBefore = natRules();
  root = mkdtempSync(join(tmpdir(), "berth-net-"));
  writeFileSync(join(root, "index.html"), "hello from the pod\n");
  store = openStore(":memory:");
  for (const id of ids) insertPodRow(store, id);
  driver = makeDriver();
});

afterAll(async () => {
  const torn = await Promise.allSettled(ids.map((id) => driver.tearDown(call, id, netnsOf(id), podConfig())));
  for (const path of await kernel.listNetns(root)) await kernel.removeNetns(path);
  driver.close();
  cleanHost([bridge, ...extra.bridges], [network, ...extra.networks], rulesBefore);
  rmSync(root, { recursive: true });
  expect(torn.filter((result) => result.status === "rejected")).toEqual([]);
  expect(ownRules()).toEqual([]);
});

function makeDriver(): NetworkDriver {
  const config = {
    cniConfDir: join(root, "net.d"),
    cniBinDirs: ["/opt/cni/bin", "/usr/lib/cni"],
    defaultSubnet: `${prefix}.0/24`,
    bridgeName: bridge,
    defaultSubnetV6: "",
    maxNetworks: 1,
    pluginTimeoutMs: 60_000,
  };
  return makeCniDriver({ config, store, log: silentLogger });
}

function netnsOf(id: string): string {
  return join(root, `ns-${id.slice(0, 8)}`);
}

function ownRules(): string[] {
  return natRules().filter(
    (rule) => rule.includes(network) || rule.includes(`${prefix}.`) || rule.includes(`${pushedPrefix}.`),
  );
}

async function fetchText(url: string): Promise<string> {
  return (await fetch(url, { signal: AbortSignal.timeout(2000), headers: { connection: "close" } })).text();
}

test("a pod is reached by its address and its published port, and gives everything back", async () => {
  expect(await driver.status()).toMatchObject({ ready: true });
  const netns = netnsOf(first);
  await kernel.createNetns(netns);
  const port = await freePort();
  const portMappings = [{ protocol: "TCP", containerPort: 80, hostPort: port, hostIp: "" }] as const;
  const { ips } = await driver.setUp(call, first, netns, podConfig({ portMappings }));
  expect(ips).toHaveLength(1);
  expect(ips[0]).toMatch(new RegExp(`^${prefix.replaceAll(".", "\\.")}\\.\\d+$`));
  expect(leasedAddresses(network)).toEqual(ips);
  expect(portsOf(bridge)).toHaveLength(1);
  const routes = execFileSync("nsenter", [`--net=${netns}`, "ip", "route"], { encoding: "utf8" });
  expect(routes).toContain(`default via ${prefix}.1 dev eth0`);

  const server = serveInside(netns, root);
  try {
    for (const url of [
      `http://${ips[0]}/`,
      `http://${hostAddress()}:${port}/`,
      `http://127.0.0.1:${port}/`,
    ]) {
      await vi.waitFor(async () => expect(await fetchText(url)).toBe("hello from the pod\n"), {
        timeout: 8000,
      });
    }
  } finally {
    await stopProcess(server);
  }
  expect(ownRules()).not.toEqual([]);
  expect(attachmentRows(store)).toBe(1);

  // As after a restart of the daemon: only what is recorded is known.
  driver.close();
  driver = makeDriver();
  await driver.tearDown(call, first, netns, podConfig());
  await kernel.removeNetns(netns);
  expect(leasedAddresses(network)).toEqual([]);
  expect(portsOf(bridge)).toEqual([]);
  expect(ownRules()).toEqual([]);
  expect(existsSync(netns)).toBe(false);
  expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(root);
  expect(attachmentRows(store)).toBe(0);
  await driver.tearDown(call, first, netns, podConfig());
  await kernel.removeNetns(netns);
});

test("pods attached at once get different addresses and reach each other", async () => {
  const results = await Promise.all(
    [first, second].map(async (id) => {
      await kernel.createNetns(netnsOf(id));
      return driver.setUp(call, id, netnsOf(id), podConfig());
    }),
  );
  const [one, two] = results.map((result) => result.ips[0]);
  expect(one).not.toBe(two);
  execFileSync("nsenter", [`--net=${netnsOf(first)}`, "busybox", "ping", "-c", "1", "-w", "5", String(two)]);
  await Promise.all([first, second].map((id) => driver.tearDown(call, id, netnsOf(id), podConfig())));
  await Promise.all([first, second].map((id) => kernel.removeNetns(netnsOf(id))));
  expect(leasedAddresses(network)).toEqual([]);
  expect(ownRules()).toEqual([]);
});

test("an address is given back although the namespace has vanished", async () => {
  await kernel.createNetns(netnsOf(lost));
  const { ips } = await driver.setUp(call, lost, netnsOf(lost), podConfig());
  await kernel.removeNetns(netnsOf(lost));
  await driver.tearDown(call, lost, netnsOf(lost), podConfig());
  expect(leasedAddresses(network)).not.toContain(ips[0]);
  expect(attachmentRows(store)).toBe(0);
});

test("a pushed pod CIDR serves new pods beside those of the old subnet", async () => {
  for (const id of [first, pushed]) await kernel.createNetns(netnsOf(id));
  const old = await driver.setUp(call, first, netnsOf(first), podConfig());
  driver.setPodCidrs([`${pushedPrefix}.0/24`]);
  const { ips } = await driver.setUp(call, pushed, netnsOf(pushed), podConfig());
  const name = store.prepare("SELECT network FROM network_attachments WHERE pod_id = ?").pluck().get(pushed);
  extra.networks.push(String(name));
  extra.bridges.push(`${bridge}${String(name).slice(network.length)}`);
  expect(ips[0]).toMatch(new RegExp(`^${pushedPrefix.replaceAll(".", "\\.")}\\.`));
  execFileSync("nsenter", [
    `--net=${netnsOf(first)}`,
    "busybox",
    "ping",
    "-c",
    "1",
    "-w",
    "5",
    String(ips[0]),
  ]);
  expect(old.ips[0]).toContain(`${prefix}.`);
});
