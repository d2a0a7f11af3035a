// Docker's config.json and its helpers, which are real programs here.

import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { askHelper } from "../../../src/credentials/credential-helper.ts";
import { entryOf, helperOf, parseDockerConfig } from "../../../src/credentials/docker-config.ts";
import { splitHost } from "../../../src/credentials/image-host.ts";
import { forgetCredentials, keepCredentials } from "../../../src/credentials/keep-credentials.ts";
import { storedCredentials } from "../../../src/credentials/stored-credentials.ts";

let folder: string;
let path: string;
let searched: string | undefined;
beforeEach(() => {
  folder = mkdtempSync("/tmp/berth-credentials-");
  path = join(folder, "config.json");
  searched = process.env.PATH;
  process.env.PATH = `${folder}:${searched}`;
});
afterEach(() => {
  process.env.PATH = searched;
  rmSync(folder, { recursive: true, force: true });
});

function helper(name: string, script: string): void {
  writeFileSync(join(folder, `docker-credential-${name}`), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, `docker-credential-${name}`), 0o755);
}
const config = (value: object) => writeFileSync(path, JSON.stringify(value));
const stored = (host: string) => storedCredentials(path, host);
const alice = {
  username: "alice",
  password: "pw",
  auth: "",
  identityToken: "",
  registryToken: "",
  serverAddress: "",
};

describe("the file", () => {
  it.each([
    ["reg.test", { "reg.test": { auth: "YQ==" } }, "YQ=="],
    ["reg.test", { "https://reg.test": { auth: "YQ==" } }, "YQ=="],
    ["reg.test", { "https://reg.test/v1/": { auth: "YQ==" } }, "YQ=="],
    ["docker.io", { "https://index.docker.io/v1/": { auth: "YQ==" } }, "YQ=="],
    ["reg.test", { "reg.test:5000": { auth: "YQ==" } }, undefined],
    ["reg.test", { "reg.test.evil.test": { auth: "YQ==" } }, undefined],
    ["reg.test", { "reg.test": {} }, undefined],
    ["constructor", {}, undefined],
  ])("for %s of %j: %s", (host, auths, auth) => {
    expect(entryOf({ auths }, host)?.auth).toBe(auth);
  });

  it("has identity tokens, and nobody's when it is not there", async () => {
    expect(await stored("reg.test")).toBeUndefined();
    config({ auths: { "reg.test": { auth: "YQ==", identitytoken: "t" } } });
    expect(await stored("reg.test")).toMatchObject({ identityToken: "t", serverAddress: "reg.test" });
  });

  it.each([
    ["{", "not JSON"],
    ['{"auths": 3}', 'key "auths"'],
    ['{"auths": {"x": {"auth": 3}}}', "auths.x"],
  ])("%j is refused by name", async (text, message) => {
    writeFileSync(path, text);
    await expect(stored("reg.test")).rejects.toThrow(message);
    await expect(stored("reg.test")).rejects.toThrow(path);
  });

  it("is never quoted in errors", async () => {
    writeFileSync(path, '{"auths": {"reg.test": {"auth": "c2VjcmV0"} BROKEN');
    const said = await stored("reg.test").catch((error: Error) => error.message);
    expect(said).not.toContain("c2VjcmV0");
  });

  it("names the helper: the host's own before the one for all", () => {
    const parsed = parseDockerConfig('{"credsStore": "all", "credHelpers": {"reg.test": "one"}}');
    expect(helperOf(parsed, "reg.test")).toBe("one");
    expect(helperOf(parsed, "other.test")).toBe("all");
  });
});

describe("a helper", () => {
  it("is told the host on its standard input", async () => {
    helper("good", 'read -r host; echo "{\\"Username\\":\\"u\\",\\"Secret\\":\\"$1 $host\\"}"');
    config({ credsStore: "good" });
    expect(await stored("reg.test")).toMatchObject({ username: "u", password: "get reg.test" });
    expect(await stored("docker.io")).toMatchObject({ password: "get https://index.docker.io/v1/" });
  });

  it("may give an identity token, or know nothing", async () => {
    helper("token", `echo '{"Username":"<token>","Secret":"t"}'`);
    expect(await askHelper("token", "reg.test")).toMatchObject({ username: "", identityToken: "t" });
    helper("empty", "echo credentials not found in native keychain; exit 1");
    config({ credsStore: "empty", auths: { "reg.test": { auth: "YQ==" } } });
    expect(await stored("reg.test")).toMatchObject({ auth: "YQ==" });
  });

  it.each([
    ["fails", "echo hush >&2; exit 3", "it failed"],
    ["babbles", "exec yes", "printed more than"],
    ["answers no JSON", "echo hello", "not JSON"],
    ["answers nothing of use", "echo '[]'", "no Username"],
  ])("that %s is an error that says no secret", async (_, script, message) => {
    helper("bad", script);
    await expect(askHelper("bad", "reg.test")).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining(message),
    });
  });

  it.each(["../../bin/sh", "", "a b", "-x", "/bin/sh"])("is a name, not %j", async (name) => {
    await expect(askHelper(name, "reg.test")).rejects.toThrow("no name of one");
  });
});

describe("a login", () => {
  it("is kept for the owner alone, beside what else is there, and forgotten", async () => {
    config({ HttpHeaders: { a: "b" }, auths: { "other.test": { auth: "YQ==" } } });
    expect(await keepCredentials(path, "reg.test", alice)).toBe(path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({
      HttpHeaders: { a: "b" },
      auths: { "other.test": { auth: "YQ==" }, "reg.test": { auth: btoa("alice:pw") } },
    });
    expect(await forgetCredentials(path, "reg.test")).toBe(true);
    expect(await forgetCredentials(path, "reg.test")).toBe(false);
    expect(JSON.parse(readFileSync(path, "utf8")).auths).toEqual({ "other.test": { auth: "YQ==" } });
  });

  it("makes the file, follows a link to it, and leaves a broken one alone", async () => {
    const nested = join(folder, "new/config.json");
    await keepCredentials(nested, "reg.test", alice);
    expect(existsSync(nested)).toBe(true);
    symlinkSync(nested, path);
    await keepCredentials(path, "two.test", alice);
    expect(Object.keys(JSON.parse(readFileSync(nested, "utf8")).auths)).toEqual(["reg.test", "two.test"]);
    writeFileSync(nested, "{");
    await expect(keepCredentials(path, "reg.test", alice)).rejects.toThrow("not JSON");
    expect(readFileSync(nested, "utf8")).toBe("{");
  });
});

it.each([
  ["busybox", "docker.io", "busybox"],
  ["a/b", "docker.io", "a/b"],
  ["index.docker.io/a/b", "docker.io", "a/b"],
  ["localhost/a", "localhost", "a"],
  ["reg.test:5000/a/b:v1", "reg.test:5000", "a/b:v1"],
])("%s is of %s", (name, host, rest) => expect(splitHost(name)).toEqual({ host, rest }));
