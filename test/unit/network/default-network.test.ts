import { expect, test } from "vitest";
import { defaultNetwork } from "../../../src/network/default-network.ts";

const request = { subnets: ["10.88.0.0/16"], podCidrs: [], bridge: "berth0", publishesPorts: false };

test("is a bridge with masquerade and addresses of the subnet", () => {
  const list = defaultNetwork(request);
  expect(list.name).toBe("berth");
  expect(list.plugins.map((plugin) => plugin.config)).toEqual([
    {
      type: "bridge",
      bridge: "berth0",
      isGateway: true,
      ipMasq: true,
      hairpinMode: true,
      ipam: {
        type: "host-local",
        ranges: [[{ subnet: "10.88.0.0/16" }]],
        routes: [{ dst: "0.0.0.0/0" }],
      },
    },
  ]);
});

test("has portmap only for pods that publish ports", () => {
  const list = defaultNetwork({ ...request, publishesPorts: true });
  expect(list.plugins.map((plugin) => plugin.type)).toEqual(["bridge", "portmap"]);
  expect(list.plugins[1]?.capabilities).toEqual(["portMappings"]);
});

test("an IPv6 subnet beside the other gives every pod an address of each family", () => {
  const list = defaultNetwork({ ...request, subnets: ["10.88.0.0/16", "fd00:88::/64"] });
  expect(list.plugins[0]?.config.ipam).toMatchObject({
    ranges: [[{ subnet: "10.88.0.0/16" }], [{ subnet: "fd00:88::/64" }]],
    routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
  });
});

test("pushed CIDRs replace the subnet, one of each family, on a bridge of their own", () => {
  const list = defaultNetwork({ ...request, podCidrs: ["10.1.0.0/24", "fd00:1::/64", "10.2.0.0/24"] });
  const config = list.plugins[0]?.config as { bridge: string; ipam: object };
  expect(config.ipam).toMatchObject({
    ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd00:1::/64" }]],
    routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
  });
  expect(config.bridge).toMatch(/^berth0-[0-9a-f]{6}$/);
  expect(list.name).toMatch(/^berth-[0-9a-f]{6}$/);
  const long = defaultNetwork({ ...request, bridge: "a-longer-bridge", podCidrs: ["10.1.0.0/24"] });
  expect(long.plugins[0]?.config.bridge).toHaveLength(15);
});

test.each(["", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "fd00::/129", "10.0.0.0/08"])(
  "refuses %j",
  (subnet) => {
    expect(() => defaultNetwork({ ...request, subnets: [subnet] })).toThrow("is not a network");
  },
);
