import { describe, expect, it } from "vitest";
import { parseChallenges } from "../../../src/registry/challenge.ts";

function parse(header: string | string[] | undefined) {
  return parseChallenges(header).map(
    ({ scheme, parameters }): Record<string, string> => ({
      scheme,
      ...Object.fromEntries(parameters),
    }),
  );
}

describe("parseChallenges", () => {
  it("reads what registries send", () => {
    expect(parse('Bearer realm="https://a/token",service="s",scope="repository:x/y:pull"')).toEqual([
      { scheme: "bearer", realm: "https://a/token", service: "s", scope: "repository:x/y:pull" },
    ]);
    expect(parse('BASIC realm="x, y=\\"z\\""')).toEqual([{ scheme: "basic", realm: 'x, y="z"' }]);
  });

  it("reads several challenges, in one header or more", () => {
    const two = [
      { scheme: "basic", realm: "b" },
      { scheme: "bearer", realm: "c", service: "s" },
    ];
    expect(parse('Basic realm="b", Bearer realm=c , service = "s"')).toEqual(two);
    expect(parse(['Basic realm="b"', 'Bearer realm="c",service=s'])).toEqual(two);
    expect(parse('Negotiate, Basic realm="b"')).toEqual([
      { scheme: "negotiate" },
      { scheme: "basic", realm: "b" },
    ]);
    expect(parse('NTLM dGVzdA==, Basic realm="b"')).toEqual([
      { scheme: "ntlm" },
      { scheme: "basic", realm: "b" },
    ]);
  });

  it("takes the first of two equal parameters", () => {
    expect(parse('Bearer realm="https://good",realm="https://evil"')[0]?.realm).toBe("https://good");
  });

  it.each([undefined, "", ",,, ,", "=", '="x"', "\u0000", "Bearer realm=", 'Bearer realm="open', "é"])(
    "survives %j",
    (header) => {
      expect(parse(header).every(({ scheme }) => scheme === "bearer")).toBe(true);
    },
  );

  it("does not look at what is far too long, nor is it slow", () => {
    expect(parse(`Bearer realm="${"x".repeat(10_000)}"`)).toEqual([]);
    expect(parse(`${"a,".repeat(4000)}`).length).toBeLessThan(4001);
    expect(parse(`Bearer ${"\\".repeat(8000)}`).length).toBe(1);
  });
});
