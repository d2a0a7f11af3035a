import { describe, expect, test } from "vitest";
import type { HostFacts } from "../../../src/kernel/kernel.ts";
import {
  allCapabilities,
  capabilityList,
  capabilityMask,
  capabilitySets,
  DEFAULT_CAPABILITIES,
} from "../../../src/spec/capabilities.ts";
import { HOST } from "./fixture.ts";

const OLD: HostFacts = { ...HOST, lastCapability: 37 };
const DEFAULT = capabilityMask(DEFAULT_CAPABILITIES);
const ALL = allCapabilities(HOST);
const NET_ADMIN = capabilityMask(["NET_ADMIN"]);

function bounding(add: string[], drop: string[], ambient: string[] = [], privileged = false): bigint {
  const security = { addCapabilities: add, dropCapabilities: drop, ambientCapabilities: ambient };
  return capabilitySets(security, privileged, 0, HOST).bounding;
}

describe("bounding set", () => {
  test.each([
    ["nothing asked for", [], [], DEFAULT],
    ["add", ["NET_ADMIN"], [], DEFAULT | NET_ADMIN],
    ["add with prefix and in lower case", ["cap_net_admin"], [], DEFAULT | NET_ADMIN],
    ["drop", [], ["CHOWN"], DEFAULT & ~capabilityMask(["CHOWN"])],
    ["drop what is not there", [], ["SYS_ADMIN"], DEFAULT],
    ["add ALL", ["ALL"], [], ALL],
    ["drop ALL", [], ["ALL"], 0n],
    ["drop ALL, add one", ["NET_ADMIN"], ["ALL"], NET_ADMIN],
    ["add ALL, drop one", ["ALL"], ["NET_ADMIN"], ALL & ~NET_ADMIN],
    ["the same in both", ["NET_ADMIN"], ["NET_ADMIN"], DEFAULT],
  ])("%s", (_, add, drop, expected) => {
    expect(bounding(add, drop)).toBe(expected);
  });

  test("is everything for a privileged container", () => {
    expect(bounding([], ["ALL"], [], true)).toBe(ALL);
  });
});

describe("other sets", () => {
  const security = {
    addCapabilities: ["NET_ADMIN"],
    dropCapabilities: [],
    ambientCapabilities: ["NET_BIND_SERVICE"],
  };
  const ambient = capabilityMask(["NET_BIND_SERVICE"]);

  test("root holds what the bounding set has", () => {
    const sets = capabilitySets(security, false, 0, HOST);
    expect(sets).toEqual({
      bounding: DEFAULT | NET_ADMIN,
      effective: DEFAULT | NET_ADMIN,
      permitted: DEFAULT | NET_ADMIN,
      inheritable: ambient,
      ambient,
    });
  });

  test("another user holds only what is ambient", () => {
    const sets = capabilitySets(security, false, 1000, HOST);
    expect(sets).toEqual({
      bounding: DEFAULT | NET_ADMIN,
      effective: ambient,
      permitted: ambient,
      inheritable: ambient,
      ambient,
    });
  });
});

test("an unknown name is refused, and one that the kernel does not know as well", () => {
  expect(() => bounding(["SYS_ADMN"], [])).toThrow('capabilities: unknown name "SYS_ADMN" in add');
  expect(() => bounding([], ["toString"])).toThrow('unknown name "toString" in drop');
  const security = { addCapabilities: ["BPF"], dropCapabilities: [], ambientCapabilities: [] };
  expect(() => capabilitySets(security, false, 0, OLD)).toThrow('"BPF" in add is not the host\'s to give');
  const drop = { addCapabilities: [], dropCapabilities: ["BPF"], ambientCapabilities: [] };
  expect(capabilitySets(drop, false, 0, OLD).bounding).toBe(DEFAULT);
});

test("a daemon without CAP_SYS_RESOURCE gives the others", () => {
  const host = { ...HOST, capSysResource: false };
  const none = { addCapabilities: [], dropCapabilities: [], ambientCapabilities: [] };
  const resource = capabilityMask(["SYS_RESOURCE"]);
  expect(capabilitySets(none, true, 0, host).bounding).toBe(ALL & ~resource);
  const asked = { ...none, addCapabilities: ["SYS_RESOURCE"] };
  expect(() => capabilitySets(asked, false, 0, host)).toThrow("is not the host's to give");
});

test("nobody gets MKNOD unasked where devices are not filtered", () => {
  const host = { ...HOST, deviceFilter: false };
  const none = { addCapabilities: [], dropCapabilities: [], ambientCapabilities: [] };
  const mknod = capabilityMask(["MKNOD"]);
  expect(capabilitySets(none, false, 0, HOST).bounding & mknod).toBe(mknod);
  expect(capabilitySets(none, false, 0, host).bounding & mknod).toBe(0n);
  const asked = { ...none, addCapabilities: ["MKNOD"] };
  expect(capabilitySets(asked, false, 0, host).bounding & mknod).toBe(mknod);
});

test("a mask as names", () => {
  expect(capabilityList(capabilityMask(["CHOWN", "BPF"]))).toEqual(["CAP_CHOWN", "CAP_BPF"]);
  expect(capabilityList(1n << 50n)).toEqual(["CAP_50"]);
});
