import { expect, it } from "vitest";
import { parseNetworkDevices } from "../../../src/network/interface-counters.ts";

const TITLES = `Inter-|   Receive  |  Transmit
 face |bytes    packets errs drop |bytes    packets
`;

it("reads every interface but the loopback", () => {
  const text = `${TITLES}    lo: 9 9 9 9 0 0 0 0 9 9 9 9 0 0 0 0
  eth0: 90 3 1 2 0 0 0 0 70 4 5 6 0 0 0 0
net1:18446744073709551615 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0
`;
  expect(parseNetworkDevices(text)).toEqual([
    {
      name: "eth0",
      rxBytes: 90,
      rxPackets: 3,
      rxErrors: 1,
      rxDropped: 2,
      txBytes: 70,
      txPackets: 4,
      txErrors: 5,
      txDropped: 6,
    },
    expect.objectContaining({ name: "net1", rxPackets: 1 }),
  ]);
});

it("makes nothing of damaged text, and little of a thousand interfaces", () => {
  expect(parseNetworkDevices("")).toEqual([]);
  expect(parseNetworkDevices(`${TITLES}eth0: 1 2\nnonsense\n`)).toEqual([]);
  const many = Array.from({ length: 1000 }, (_, i) => `if${i}: ${"1 ".repeat(16)}`).join("\n");
  expect(parseNetworkDevices(TITLES + many)).toHaveLength(64);
});
