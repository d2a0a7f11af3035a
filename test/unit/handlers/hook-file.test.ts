import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type HookSubject,
  hooksFor,
  hooksOfDevices,
  joinHooks,
  parseHookFile,
} from "../../../src/handlers/hook-file.ts";
import { readHooks } from "../../../src/handlers/read-hooks.ts";

const file = (when: object, more: object = {}) =>
  JSON.stringify({ version: "1.0.0", hook: { path: "/bin/hook" }, when, stages: ["prestart"], ...more });
const subject: HookSubject = {
  annotations: { "io.example/gpu": "all", other: "x" },
  command: "/usr/bin/server",
  hasBindMounts: false,
};
const matches = (when: object) => parseHookFile("a.json", file(when)).matches(subject);

describe("conditions", () => {
  test.each([
    [{ always: true }, true],
    [{ always: false }, false],
    [{ annotations: { "^io\\.example/gpu$": "^all$" } }, true],
    [{ annotations: { "^io\\.example/gpu$": "^none$" } }, false],
    // Key and value must be of the same annotation.
    [{ annotations: { "^other$": "^all$" } }, false],
    [{ annotations: { gpu: "all", other: "x" } }, true],
    [{ annotations: { gpu: "all", missing: "" } }, false],
    [{ commands: ["^/bin/sh$", "server$"] }, true],
    [{ commands: ["^server$"] }, false],
    [{ commands: [] }, false],
    [{ hasBindMounts: true }, false],
    [{ hasBindMounts: false }, true],
    // All of them must hold.
    [{ always: true, commands: ["^/bin/sh$"] }, false],
    [{ always: true, hasBindMounts: false, annotations: { gpu: "" } }, true],
  ])("%j: %s", (when, expected) => expect(matches(when)).toBe(expected));
});

test("hooks by stage, in the order of the files, with defaults", () => {
  const first = file({ always: true }, { stages: ["prestart", "poststop", "prestart"] });
  const hook = { path: "/bin/second", args: ["second", "-x"], env: ["A=b"], timeout: 7 };
  const second = file({ always: true }, { hook, stages: ["poststop"] });
  const never = file({ always: false });
  const files = [first, second, never].map((text) => parseHookFile("a.json", text));
  const plain = { path: "/bin/hook", args: ["/bin/hook"], env: [], timeout: 30 };
  expect(hooksFor(files, subject)).toEqual({ prestart: [plain], poststop: [plain, hook] });
});

test.each([
  ["{", "not JSON"],
  ["[]", "object"],
  [file({ always: true }, { version: "0.1.0" }), '"version"'],
  [file({ always: true }, { hook: { path: "relative" } }), '"hook.path"'],
  [file({ always: true }, { hook: { path: "/x", timeout: 0 } }), '"hook.timeout"'],
  [file({ always: true }, { stages: [] }), '"stages"'],
  [file({ always: true }, { stages: ["precreate"] }), '"stages.0"'],
  [file({}), 'write "always": true'],
  [file({ alwys: true }), "alwys"],
  [file({ commands: ["("] }), "Invalid regular expression"],
  [file({ annotations: { "[": "" } }), "Invalid regular expression"],
  [JSON.stringify({ version: "1.0.0", when: { always: true }, stages: ["prestart"] }), "hook"],
])("%s is refused, naming the file", (text, why) => {
  const parse = () => parseHookFile("/etc/hooks.d/10-x.json", text);
  expect(parse).toThrow('hook file "/etc/hooks.d/10-x.json"');
  expect(parse).toThrow(why);
});

describe("directories", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "berth-hooks-"));
    for (const name of ["a", "b"]) mkdirSync(join(folder, name));
  });
  afterEach(() => rmSync(folder, { recursive: true }));
  const put = (name: string, path: string) =>
    writeFileSync(join(folder, name), file({ always: true }, { hook: { path } }));
  const read = async () => {
    const files = await readHooks([join(folder, "a"), join(folder, "missing"), join(folder, "b")]);
    return files.map(({ hook }) => hook.path);
  };

  test("are read in the order of the file names; later ones replace", async () => {
    put("b/10-first.json", "/1");
    put("a/20-second.json", "/2");
    put("a/30-third.json", "/replaced");
    put("b/30-third.json", "/3");
    put("a/README", "/not/json");
    expect(await read()).toEqual(["/1", "/2", "/3"]);
  });

  test("one that is malformed, or huge, is an error with its name", async () => {
    writeFileSync(join(folder, "a/x.json"), "nonsense");
    await expect(read()).rejects.toThrow(`hook file "${join(folder, "a/x.json")}": not JSON`);
    writeFileSync(join(folder, "a/x.json"), `"${"x".repeat(70_000)}"`);
    await expect(read()).rejects.toThrow("70002 bytes are more than 65536");
  });
});

test("hooks of CDI devices are joined with those of files, each with what it leaves out", () => {
  const ofDevices = hooksOfDevices([
    { hookName: "createContainer", path: "/bin/a", args: ["a", "-x"], env: ["B=1"], timeout: 5 },
    { hookName: "createContainer", path: "/bin/b" },
  ]);
  const file = { path: "/bin/file", args: ["file"], env: [], timeout: 1 };
  expect(joinHooks({ createContainer: [file] }, ofDevices)).toEqual({
    createContainer: [
      file,
      { path: "/bin/a", args: ["a", "-x"], env: ["B=1"], timeout: 5 },
      { path: "/bin/b", args: ["/bin/b"], env: [], timeout: 30 },
    ],
  });
  expect(() => hooksOfDevices([{ hookName: "prestart", path: "bin/a" }])).toThrow("no absolute path");
  expect(() => hooksOfDevices([{ hookName: "never", path: "/bin/a" }])).toThrow("no such stage");
});
