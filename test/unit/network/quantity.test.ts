import { expect, test } from "vitest";
import { parseBandwidth } from "../../../src/network/quantity.ts";

test.each([
  ["10M", 10_000_000],
  ["1Ki", 1024],
  ["1.5k", 1500],
  ["2e6", 2_000_000],
  ["1000", 1000],
  ["1P", 1e15],
])("%s is %d bits per second", (text, want) => {
  expect(parseBandwidth("a", text)).toBe(want);
});

test.each(["", "10", "2P", "-1M", "10Q", "10ki", "M", "1e", "0x10", "1 M", "9".repeat(40)])(
  "refuses %j",
  (text) => {
    expect(() => parseBandwidth("kubernetes.io/ingress-bandwidth", text)).toThrow(
      "kubernetes.io/ingress-bandwidth",
    );
  },
);
