import { describe, expect, test } from "vitest";
import {
  absolutePath,
  bytesOf,
  environmentValue,
  mergeEnvironment,
  processArguments,
  processEnvironment,
  workingDirectory,
} from "../../../src/spec/process.ts";
import { containerConfig, IMAGE, planInput, podConfig } from "./fixture.ts";

describe("arguments", () => {
  test.each([
    ["image alone", [], [], ["/entry", "serve"]],
    ["args replace the cmd", [], ["a"], ["/entry", "a"]],
    ["command replaces both", ["c"], [], ["c"]],
    ["command and args", ["c"], ["a"], ["c", "a"]],
  ])("%s", (_, command, args, expected) => {
    expect(processArguments(containerConfig({ command, args }), IMAGE)).toEqual(expected);
  });

  test("nothing to run is refused", () => {
    const image = { ...IMAGE, entrypoint: [], cmd: [] };
    expect(() => processArguments(containerConfig(), image)).toThrow("no command specified");
    expect(() => processArguments(containerConfig({ command: [""] }), IMAGE)).toThrow("no command specified");
  });
});

describe("environment", () => {
  test("the container's over the image's, defaults where neither speaks", () => {
    const container = containerConfig({ envs: [{ name: "LANG", value: "de" }], tty: true });
    expect(processEnvironment(planInput({ container }))).toEqual([
      "PATH=/bin",
      "LANG=de",
      "HOSTNAME=web",
      "HOME=/root",
      "TERM=xterm",
    ]);
  });

  test("PATH has a default, and an empty value is a value", () => {
    const image = { ...IMAGE, env: ["HOME=", "bare", "=odd"] };
    const pod = podConfig({}, { hostname: "" });
    expect(processEnvironment(planInput({ image, pod }))).toEqual([
      "HOME=",
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ]);
  });

  test("bytes pass through", () => {
    const container = containerConfig({ envs: [{ name: "B", value: "\xff\x01=" }] });
    const image = { ...IMAGE, env: ["U=ü"] };
    const env = processEnvironment(planInput({ container, image }));
    expect(env).toContain("B=\xff\x01=");
    expect(env).toContain("U=\xc3\xbc");
  });

  test.each(["", "A=B"])("the name %j is refused", (name) => {
    const container = containerConfig({ envs: [{ name, value: "" }] });
    expect(() => processEnvironment(planInput({ container }))).toThrow("environment variable");
  });

  test("of an exec", () => {
    expect(mergeEnvironment(["A=1", "B=2"], ["B=3", "C=4"], { A: "x", D: "5" })).toEqual([
      "A=1",
      "B=3",
      "C=4",
      "D=5",
    ]);
    expect(environmentValue(["AB=1", "A=2"], "A")).toBe("2");
    expect(environmentValue([], "A")).toBeUndefined();
  });
});

describe("directories", () => {
  test.each([
    ["/a//b/../c/./", "/a/c"],
    ["/", "/"],
    ["/../..", "/"],
    ["//x", "/x"],
  ])("%s is %s", (path, expected) => {
    expect(absolutePath(path, "mount")).toBe(expected);
  });

  test.each(["", "a", "./a", "/a\0b"])("%j is refused", (path) => {
    expect(() => absolutePath(path, "mount")).toThrow("must be an absolute path");
  });

  test("the container's, the image's, /", () => {
    expect(workingDirectory("/w", IMAGE)).toBe("/w");
    expect(workingDirectory("", IMAGE)).toBe("/srv");
    expect(workingDirectory("", { ...IMAGE, workingDir: "app" })).toBe("/app");
    expect(workingDirectory("", { ...IMAGE, workingDir: "" })).toBe("/");
    expect(() => workingDirectory("w", IMAGE)).toThrow("working directory");
  });
});

test("text as bytes", () => {
  expect(bytesOf("ü")).toBe("\xc3\xbc");
});
