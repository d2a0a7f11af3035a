import { describe, expect, test } from "vitest";
import { BerthError } from "../../../src/lib/errors.ts";
import {
  addressesOf,
  excerpt,
  parsePluginError,
  parseResult,
  requireAddresses,
} from "../../../src/network/result.ts";

describe("parseResult", () => {
  test("gives addresses of the pod's interface in the plugin's order", () => {
    const text = JSON.stringify({
      cniVersion: "1.0.0",
      interfaces: [{ name: "br0" }, { name: "eth0", sandbox: "/x" }],
      ips: [
        { address: "10.0.0.1/24", interface: 0 },
        { address: "fd00::2/64", interface: 1 },
        { address: "10.0.0.2/24" },
      ],
    });
    expect(addressesOf(parseResult(text, "1.0.0"), "eth0")).toEqual(["fd00::2", "10.0.0.2"]);
  });

  test("converts between versions", () => {
    const old = '{"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.0.0.2/24"}]}';
    expect(parseResult(old, "1.0.0")).toEqual({ cniVersion: "1.0.0", ips: [{ address: "10.0.0.2/24" }] });
    const current = '{"cniVersion":"1.1.0","ips":[{"address":"fd00::2/64"}]}';
    expect(parseResult(current, "0.3.1").ips).toEqual([{ version: "6", address: "fd00::2/64" }]);
  });

  test("reads the first shape of a result: one address of each family", () => {
    const text = JSON.stringify({
      cniVersion: "0.2.0",
      ip4: { ip: "10.0.0.2/24", gateway: "10.0.0.1", routes: [{ dst: "0.0.0.0/0" }] },
      ip6: { ip: "fd00::2/64" },
    });
    const result = parseResult(text, "0.2.0");
    expect(addressesOf(result, "eth0")).toEqual(["10.0.0.2", "fd00::2"]);
    expect(result.routes).toEqual([{ dst: "0.0.0.0/0" }]);
  });

  const refused: [string, string][] = [
    ["", "printed no result"],
    ["hello\u0007", "not JSON: hello"],
    ["[1]", "not a JSON object"],
    ['{"cniVersion":"0.5.0"}', '"cniVersion" "0.5.0"'],
    ['{"cniVersion":"0.2.0","ip4":7}', '"ip4" or "ip6"'],
    ['{"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.2"}}', 'the address "10.0.0.2"'],
    ['{"ips":7}', '"ips" of its result is not a list'],
    ['{"ips":[7]}', "not a list of objects"],
    ['{"ips":[{}]}', "has the address undefined"],
    ['{"ips":[{"address":"10.0.0.2"}]}', 'the address "10.0.0.2"'],
    ['{"ips":[{"address":"10.0.0.2/33"}]}', 'the address "10.0.0.2/33"'],
    ['{"ips":[{"address":"10.0.0.2/24/1"}]}', "the address"],
    ['{"ips":[{"address":["10.0.0.2/24"]}]}', "the address"],
    ['{"ips":[{"address":"fe80::2%eth0/64"}]}', "the address"],
    ['{"ips":[{"address":"10.0.0.2/24","interface":3}]}', "interface 3 of 0"],
    ['{"ips":[{"address":"10.0.0.2/24","interface":-1}],"interfaces":[{"name":"a"}]}', "interface -1 of 1"],
    ['{"interfaces":["eth0"]}', '"interfaces"'],
    [JSON.stringify({ ips: Array(65).fill({ address: "10.0.0.2/24" }) }), "more than 64"],
  ];
  test.each(refused)("refuses %s", (text, message) => {
    expect(() => parseResult(text, "1.0.0")).toThrow(message);
  });

  test("a result without an address of the interface is an error", () => {
    expect(() => requireAddresses(parseResult("{}", "1.0.0"), "eth0")).toThrow(
      'no address for interface "eth0"',
    );
    const other = '{"interfaces":[{"name":"x"}],"ips":[{"address":"10.0.0.2/24","interface":0}]}';
    expect(() => requireAddresses(parseResult(other, "1.0.0"), "eth0")).toThrow("no address");
  });
});

test("an error object is recognised, other output is not", () => {
  expect(parsePluginError('{"code":7,"msg":"bad\\nconfig","details":"d"}')).toEqual({
    code: 7,
    message: "bad config",
    details: "d",
  });
  expect(parsePluginError("panic: oops")).toBeNull();
  expect(parsePluginError("{}")).toBeNull();
});

test("an excerpt is one line and bounded", () => {
  expect(excerpt("a\u001b[31m\r\nb")).toBe("a [31m b");
  expect(excerpt("x".repeat(5000)).length).toBeLessThan(1100);
});

test("whatever JSON a plugin prints, the answer is a result or an error with a message", () => {
  const pieces = [
    "null",
    "7",
    '"x"',
    "[]",
    "{}",
    '"10.0.0.2/24"',
    "[null]",
    '[{"name":null}]',
    '[{"address":7}]',
  ];
  for (const ips of pieces) {
    for (const interfaces of pieces) {
      const text = `{"cniVersion":"1.0.0","ips":${ips},"interfaces":${interfaces}}`;
      try {
        addressesOf(parseResult(text, "1.0.0"), "eth0");
      } catch (error) {
        expect(error, text).toBeInstanceOf(BerthError);
      }
    }
  }
});
