import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeConfig, parseConfigFile } from "../../../src/config.ts";
import { Handlers } from "../../../src/handlers/handlers.ts";
import { featuresOf } from "../../../src/handlers/probe-runtime.ts";

const parse = (text: string) => makeConfig(parseConfigFile(text, "berth.toml"));

describe("the configuration", () => {
  test("native alone by default", () => {
    expect(parse("").handlers).toEqual([{ name: "native", type: "native" }]);
    expect(parse("").defaultHandler).toBe("native");
  });

  test("an external runtime", () => {
    const table = '[handlers.kata]\npath = "/opt/kata"\nargs = ["--debug"]\ntimeout_seconds = 5';
    const config = parse(`default_handler = "kata"\n${table}`);
    expect(config.defaultHandler).toBe("kata");
    expect(config.handlers[1]).toEqual({
      name: "kata",
      type: "oci",
      path: "/opt/kata",
      args: ["--debug"],
      root: "",
      timeoutMs: 5000,
      privilegedWithoutHostDevices: false,
    });
  });

  test.each([
    ["[handlers.crun]", "handlers.crun.path: missing"],
    ['[handlers.crun]\npath = "crun"', 'key "handlers.crun.path"'],
    ['[handlers.Crun]\npath = "/usr/bin/crun"', "must be of a-z"],
    ['[handlers.native]\ntype = "oci"\npath = "/x"', "berth's own handler"],
    ['[handlers.fast]\ntype = "native"\npath = "/x"', "handlers.fast.path"],
    ['[handlers.crun]\npth = "/x"', 'nearest known one is "handlers.crun.path"'],
    ['default_handler = "crun"', 'no such handler; there is "native"'],
    ['hooks_dirs = ["relative"]', "hooks_dirs"],
  ])("%s is refused", (text, message) => expect(() => parse(text)).toThrow(message));
});

describe("runtimes", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "berth-handlers-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const runtime = (script: string) => {
    const path = join(folder, `runtime-${Math.random()}`);
    writeFileSync(path, `#!/bin/sh\n${script}\n`);
    chmodSync(path, 0o755);
    return new Handlers(parse(`[handlers.x]\npath = "${path}"`).handlers, "native");
  };
  const statusOf = async (handlers: Handlers) => (await handlers.list()).at(-1);

  test("what they say of themselves counts", async () => {
    const handlers = runtime(
      `case $1 in features) echo '{"mountOptions":["ro","rro"]}';; exec) echo "  --cgroup value  x";; esac`,
    );
    expect((await statusOf(handlers))?.features).toEqual({
      recursiveReadOnlyMounts: true,
      userNamespaces: false,
    });
    expect((await handlers.facts("x")).execsInCgroup).toBe(true);
  });

  test.each(["exit 1", "echo garbage; head -c 3000000 /dev/zero", "kill -9 $$"])(
    "nothing of: %s",
    async (script) => {
      const handlers = runtime(script);
      expect((await statusOf(handlers))?.features.recursiveReadOnlyMounts).toBe(false);
      expect((await handlers.facts("x")).execsInCgroup).toBe(false);
      expect(await handlers.complaints()).toEqual([]);
    },
  );

  test("one that is missing is complained of, refused by name, and found once it is there", async () => {
    const path = join(folder, "later");
    const handlers = new Handlers(parse(`[handlers.x]\npath = "${path}"`).handlers, "native");
    expect(await handlers.complaints()).toEqual([expect.stringContaining('runtime handler "x"')]);
    expect((await statusOf(handlers))?.features.recursiveReadOnlyMounts).toBe(false);
    await expect(handlers.require("x", "run pod")).rejects.toThrow(
      `runtime "${path}" of handler "x": ENOENT`,
    );
    writeFileSync(path, '#!/bin/sh\necho \'{"mountOptions":["rro"]}\'\n');
    chmodSync(path, 0o755);
    expect((await handlers.require("x", "run pod")).name).toBe("x");
    expect((await handlers.facts("x")).recursiveReadOnlyMounts).toBe(true);
  });

  test("unknown names are refused; the empty one is the default", () => {
    const handlers = runtime("true");
    expect(() => handlers.find("y", "run pod")).toThrow('"y" is not configured; there is "native", "x"');
    expect(handlers.find("", "run pod").type).toBe("native");
  });
});

test.each(["", "[]", "null", '{"mountOptions":5}', '{"mountOptions":["rro"],"linux":7}'])(
  "features %j",
  (text) => {
    expect(featuresOf(text)).toEqual({ recursiveReadOnlyMounts: false, userNamespaces: false });
  },
);
