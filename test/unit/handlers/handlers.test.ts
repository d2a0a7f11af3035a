import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeConfig, parseConfigFile } from "../../../src/config.ts";
import { Handlers } from "../../../src/handlers/handlers.ts";
import { userNamespacesMissing } from "../../../src/handlers/probe-runtime.ts";

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

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "berth-handlers-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const runtime = (script: string, state = tmpdir()) => {
  const path = join(folder, `runtime-${Math.random()}`);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return new Handlers(parse(`[handlers.x]\npath = "${path}"`).handlers, "native", state);
};
const statusOf = async (handlers: Handlers) => (await handlers.list()).at(-1);

describe("runtimes", () => {
  test("what they say of themselves counts", async () => {
    const handlers = runtime(
      `case $1 in features) echo '{"linux":{"namespaces":["user"]}}';; exec) echo "  --cgroup value  x";;
      --version) printf 'x version 1\\nmore\\n';; esac`,
    );
    expect((await statusOf(handlers))?.features).toEqual({
      recursiveReadOnlyMounts: true,
      userNamespaces: true,
    });
    expect(await handlers.facts("x")).toMatchObject({ execsInCgroup: true, version: "x version 1" });
  });

  test.each(["exit 1", "echo garbage; head -c 3000000 /dev/zero", "kill -9 $$"])(
    "nothing of: %s",
    async (script) => {
      const handlers = runtime(script);
      expect((await statusOf(handlers))?.features.userNamespaces).toBe(false);
      expect((await handlers.facts("x")).execsInCgroup).toBe(false);
      expect(await handlers.complaints()).toEqual([]);
    },
  );

  test("one that is missing is complained of, refused by name, and found once it is there", async () => {
    const path = join(folder, "later");
    const handlers = new Handlers(parse(`[handlers.x]\npath = "${path}"`).handlers, "native", tmpdir());
    expect(await handlers.complaints()).toEqual([expect.stringContaining('runtime handler "x"')]);
    expect((await statusOf(handlers))?.features.recursiveReadOnlyMounts).toBe(false);
    await expect(handlers.require("x", "run pod")).rejects.toThrow(
      `runtime "${path}" of handler "x": ENOENT`,
    );
    writeFileSync(path, '#!/bin/sh\necho \'{"mountOptions":["rro"]}\'\n');
    chmodSync(path, 0o755);
    expect((await handlers.require("x", "run pod")).name).toBe("x");
    expect((await handlers.list()).at(-1)?.features.recursiveReadOnlyMounts).toBe(true);
  });

  test("unknown names are refused; the empty one is the default", () => {
    const handlers = runtime("true");
    expect(() => handlers.find("y", "run pod")).toThrow('"y" is not configured; there is "native", "x"');
    expect(handlers.find("", "run pod").type).toBe("native");
  });
});

describe("user namespaces", () => {
  const NAMED = "neither";
  test.each([
    ['{"linux":{"namespaces":["pid","user"]}}', "", ""],
    ['{"linux":{"namespaces":["pid"]}}', "spec: 1.0.2", '"features" does not list "user"'],
    ["unknown command features", "crun version 1.8.1\nspec: 1.0.0\n", ""],
    ['{"linux":7}', "spec: 2.0.0", ""],
    ["", "", NAMED],
    ["[]", "spec: 0.6.0", NAMED],
    ["null", "my spec: 1.0.0", NAMED],
  ])("features %j, version %j", (features, version, missing) => {
    const found = userNamespacesMissing(features, version);
    if (missing === "") expect(found).toBe("");
    else expect(found).toContain(missing);
  });

  test("a refusal names runtime, version and what is missing", async () => {
    const handlers = runtime("case $1 in --version) echo old version 0.1;; esac");
    await expect(handlers.requireUserNamespaces("x", "run pod")).rejects.toThrow(
      /^run pod: handler "x": no user namespaces with runtime "\/.*" \(old version 0\.1\): neither .* native/,
    );
    await handlers.requireUserNamespaces("native", "run pod");
  });

  test("a state directory that others cannot get to is named", async () => {
    const closed = join(folder, "closed");
    mkdirSync(join(closed, "state"), { recursive: true, mode: 0o755 });
    chmodSync(folder, 0o755);
    chmodSync(closed, 0o750);
    const handlers = runtime("echo spec: 1.0.0", join(closed, "state"));
    await expect(handlers.requireUserNamespaces("x", "run pod")).rejects.toThrow(
      `cannot pass directory "${closed}" (mode 750)`,
    );
    expect((await statusOf(handlers))?.features.userNamespaces).toBe(false);
    chmodSync(closed, 0o711);
    expect((await statusOf(handlers))?.features.userNamespaces).toBe(true);
  });
});
