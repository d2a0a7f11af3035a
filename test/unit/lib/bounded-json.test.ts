import { expect, it } from "vitest";
import { maxJsonDepth, maxJsonValues, parseBoundedJson } from "../../../src/lib/bounded-json.ts";

const bytes = (text: string) => Buffer.from(text);
const items = (count: number) => `[${Array.from({ length: count }, () => "1").join()}]`;

it.each([
  ["an array", items(maxJsonValues + 1)],
  ["arrays in each other", `${"[".repeat(maxJsonValues + 1)}${"]".repeat(maxJsonValues + 1)}`],
  ["members", `{${Array.from({ length: maxJsonValues }, (_, n) => `"${n}":0`).join()}}`],
  ["what is no JSON", ",".repeat(4 * 1024 * 1024)],
  ["strings", `[${Array.from({ length: maxJsonValues + 1 }, () => '"\\""').join()}]`],
])("refuses too many values: %s", (_, text) => {
  expect(() => parseBoundedJson(bytes(text))).toThrow(RangeError);
});

it("counts nothing inside of strings", () => {
  const text = `\\"[{,:${"[{,:".repeat(maxJsonValues)}\\\\`;
  expect(parseBoundedJson(bytes(`{"a":"${text}","b":[1,2]}`))).toEqual({
    a: JSON.parse(`"${text}"`),
    b: [1, 2],
  });
  const most = items(maxJsonValues - 2);
  expect(parseBoundedJson(bytes(most))).toHaveLength(maxJsonValues - 2);
});

it("refuses what is nested too deep to be written again", () => {
  const nested = (depth: number) => `${'{"a":['.repeat(depth / 2)}${"]}".repeat(depth / 2)}`;
  const most = parseBoundedJson(bytes(nested(maxJsonDepth)));
  expect(JSON.stringify(most)).toBe(nested(maxJsonDepth));
  expect(() => parseBoundedJson(bytes(nested(maxJsonDepth + 2)))).toThrow("deeper than 1000");
});

it("wants UTF-8 and JSON", () => {
  expect(() => parseBoundedJson(bytes("\ufeff{}"))).toThrow(SyntaxError);
  expect(() => parseBoundedJson(Buffer.from([0x22, 0xff, 0x22]))).toThrow(TypeError);
  expect(() => parseBoundedJson(bytes('{"a":'))).toThrow(SyntaxError);
});
