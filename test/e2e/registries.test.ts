// Pulls from real registries behind TLS, passwords, tokens and proxies, through the daemon and the command
// line.

import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { makeProbeImage } from "../images/recipes.ts";
import { startRegistry, type TestRegistry } from "../images/registry.ts";
import { Daemon } from "./daemon.ts";
import {
  makeCertificates,
  type Running,
  serveProxy,
  serveStorage,
  serveTokens,
  type TestProxy,
  type TokenServer,
  USER,
} from "./support/registries.ts";

const berth = join(import.meta.dirname, "../../out/berth.cjs");
let folder: string;
let plain: TestRegistry;
let tls: Running;
let basic: Running;
let tokens: TokenServer;
let token: Running;
let proxy: TestProxy;
let tlsProxy: TestProxy;
let daemon: Daemon;

beforeAll(async () => {
  folder = mkdtempSync("/tmp/berth-e2e-registries-");
  makeCertificates(folder);
  plain = await startRegistry();
  await plain.push(await makeProbeImage(), "probe:1");
  const storage = join(plain.folder, "storage");
  tls = await serveStorage(folder, storage, "tls");
  basic = await serveStorage(folder, storage, "basic");
  tokens = await serveTokens(folder, 60);
  token = await serveStorage(folder, storage, "token", `http://${tokens.host}/token`);
  proxy = await serveProxy(plain.host);
  tlsProxy = await serveProxy(tls.host);
  const at = (name: string) => `"${join(folder, name)}"`;
  daemon = new Daemon({
    toml: `
[registry]
certs_dirs = [${at("certs.d")}]
docker_config = ${at("daemon.json")}
[registry.hosts."${tls.host}"]
ca = [${at("ca.pem")}]
client_cert = ${at("client.pem")}
client_key = ${at("client.key")}
[registry.hosts."far.example"]
plain_http = true
proxy = "http://berth:secret@${proxy.host}"
[registry.hosts."mirrored.example"]
mirrors = ["http://127.0.0.1:1", "http://${plain.host}"]
[registry.hosts."mirrored.example".rewrite]
"^team/(.*)" = "$1"
`,
  });
  await daemon.start();
});
afterAll(async () => {
  await daemon.remove();
  for (const one of [tls, basic, token, tokens, proxy, tlsProxy, plain]) await one.stop();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  const { images } = await daemon.ask<{ images: { id: string }[] }>("listImages", {});
  for (const { id } of images) await daemon.ask("removeImage", { image: { image: id } });
  rmSync(join(folder, "certs.d"), { recursive: true, force: true });
  rmSync(join(folder, "daemon.json"), { force: true });
  rmSync(join(folder, "home"), { recursive: true, force: true });
});

const noAuth = { auth: "", serverAddress: "", identityToken: "", registryToken: "" };
const pull = (image: string, auth?: object) => daemon.ask("pullImage", { image: { image }, auth });

function run(args: string[], input = "") {
  const home = join(folder, "home");
  const env = { ...process.env, HOME: home, DOCKER_CONFIG: "", PATH: `${folder}:${process.env.PATH}` };
  const all = [berth, "-H", daemon.scratch.socket, ...args];
  return spawnSync(process.execPath, all, { env, input, encoding: "utf8" });
}

/** A hosts.toml for `host`. */
function hostsToml(host: string, text: string): void {
  mkdirSync(join(folder, "certs.d", host), { recursive: true });
  writeFileSync(join(folder, "certs.d", host, "hosts.toml"), text);
}

describe("TLS", () => {
  test("with a private authority and a client certificate, from berth.toml", async () => {
    await pull(`${tls.host}/probe:1`);
  });

  test("with the same from hosts.toml, for a name behind another host", async () => {
    const client = `client = [["${folder}/client.pem", "${folder}/client.key"]]`;
    hostsToml("named.example", `[host."https://${tls.host}"]\nca = "${folder}/ca.pem"\n${client}\n`);
    await pull("named.example/probe:1");
  });

  test("without them says what to set", async () => {
    hostsToml("named.example", `server = "https://${tls.host}"`);
    await expect(pull("named.example/probe:1")).rejects.toMatchObject({
      code: 2,
      details: expect.stringMatching(/^RegistryUnavailable: .*set ca under \[registry\.hosts\./),
    });
    hostsToml("named.example", `server = "https://${tls.host}"\nskip_verify = true`);
    // The server wants a client certificate.
    await expect(pull("named.example/probe:1")).rejects.toMatchObject({ code: 2 });
  });
});

describe("passwords", () => {
  test("come with the call", async () => {
    await expect(pull(`${basic.host}/probe:1`)).rejects.toThrow("denies access");
    await expect(pull(`${basic.host}/probe:1`, { ...noAuth, ...USER, password: "x" })).rejects.toThrow(
      "denies",
    );
    await pull(`${basic.host}/probe:1`, { ...noAuth, ...USER });
  });

  test("come from the daemon's docker config, or its helper", async () => {
    const pair = Buffer.from(`${USER.username}:${USER.password}`).toString("base64");
    writeFileSync(join(folder, "daemon.json"), JSON.stringify({ auths: { [basic.host]: { auth: pair } } }));
    await pull(`${basic.host}/probe:1`);
    writeFileSync(join(folder, "daemon.json"), JSON.stringify({ credsStore: "not-there" }));
    await expect(pull(`${basic.host}/probe:1`)).rejects.toThrow('no program "docker-credential-not-there"');
  });

  test("come from a login", () => {
    const wrong = run(["login", "-u", "alice", "--password-stdin", basic.host], "wrong\n");
    expect(wrong).toMatchObject({ status: 1, stderr: expect.stringContaining("denies access") });
    expect(run(["pull", `${basic.host}/probe:1`]).status).toBe(1);
    const login = run(["login", "-u", "alice", "--password-stdin", basic.host], `${USER.password}\n`);
    expect(login).toMatchObject({ status: 0, stdout: "Login Succeeded\n" });
    const config = join(folder, "home/.docker/config.json");
    expect(statSync(config).mode & 0o777).toBe(0o600);
    expect(run(["pull", "--explain", `${basic.host}/probe:1`])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(
        /Pull of .*: done, .*resolve .*layers .*commit[\s\S]*LAYER[\s\S]*Longest: /,
      ),
    });
    expect(run(["logout", basic.host]).stdout).toBe(`Removed the login for ${basic.host}\n`);
    expect(readFileSync(config, "utf8")).not.toContain('auth"');
    expect(run(["logout", basic.host]).stdout).toContain("Not logged in");
    expect(run(["pull", "--creds", `alice:${USER.password}`, `${basic.host}/probe:1`]).status).toBe(0);
  });

  test("are kept by a helper when there is one", () => {
    const helper = join(folder, "docker-credential-shelf");
    writeFileSync(
      helper,
      `#!/bin/sh
f="${folder}/shelf"
case $1 in
store) cat > "$f" ;;
get) test ! -f "$f" || exec cat "$f"; echo credentials not found in native keychain; exit 1 ;;
erase) rm "$f" ;;
esac
`,
    );
    chmodSync(helper, 0o755);
    mkdirSync(join(folder, "home/.docker"), { recursive: true });
    const config = join(folder, "home/.docker/config.json");
    writeFileSync(
      config,
      JSON.stringify({ credHelpers: { [basic.host]: "shelf" }, HttpHeaders: { x: "y" } }),
    );
    expect(run(["pull", `${basic.host}/probe:1`]).status).toBe(1);
    expect(run(["login", "-u", "alice", "--password-stdin", basic.host], USER.password).status).toBe(0);
    expect(readFileSync(config, "utf8")).not.toContain(USER.password);
    expect(JSON.parse(readFileSync(config, "utf8"))).toMatchObject({ HttpHeaders: { x: "y" } });
    expect(run(["pull", `${basic.host}/probe:1`]).status).toBe(0);
    expect(run(["logout", basic.host]).status).toBe(0);
    expect(run(["pull", `${basic.host}/probe:1`]).status).toBe(1);
  });
});

describe("tokens", () => {
  test("are fetched for no more than the pull needs, once", async () => {
    tokens.asked.length = 0;
    await pull(`${token.host}/probe:1`, { ...noAuth, ...USER });
    expect(tokens.asked).toEqual([
      { method: "GET", scope: "repository:probe:pull", by: expect.stringMatching(/^Basic /) },
    ]);
  });

  test("are fetched with an identity token by POST", async () => {
    tokens.asked.length = 0;
    const auth = { ...noAuth, username: "", password: "", identityToken: "refresh-me" };
    await pull(`${token.host}/probe:1`, auth);
    expect(tokens.asked).toEqual([{ method: "POST", scope: "repository:probe:pull", by: "refresh-me" }]);
  });

  test("are refused to strangers, who are told so", async () => {
    await expect(pull(`${token.host}/probe:1`)).rejects.toMatchObject({
      details: expect.stringContaining(`get a token for registry "${token.host}"`),
    });
  });
});

describe("proxies", () => {
  test("get requests in plain HTTP, and their own credentials", async () => {
    proxy.seen.length = 0;
    await pull("far.example/probe:1");
    const credentials = Buffer.from("berth:secret").toString("base64");
    expect(new Set(proxy.seen)).toEqual(new Set([`far.example Basic ${credentials}`]));
  });

  test("get tunnels for TLS, as hosts.toml says", async () => {
    tlsProxy.seen.length = 0;
    const client = `client = [["${folder}/client.pem", "${folder}/client.key"]]`;
    const server = `server = "https://127.0.0.1:9"\nca = "${folder}/ca.pem"\n${client}\n`;
    hostsToml("behind.example", `${server}proxy = "http://${tlsProxy.host}"\n`);
    await pull("behind.example/probe:1");
    expect(new Set(tlsProxy.seen)).toEqual(new Set(["CONNECT 127.0.0.1:9"]));
  });

  test("are named when they fail, without their passwords", async () => {
    hostsToml("behind.example", 'proxy = "http://u:hush@127.0.0.1:1"');
    const failed = await pull("behind.example/probe:1").catch((error: { details: string }) => error.details);
    expect(failed).toMatch(/through proxy "http:\/\/127\.0\.0\.1:1"/);
    expect(failed).not.toContain("hush");
  });
});

describe("mirrors", () => {
  test("are tried in order, under the names they know", async () => {
    await pull("mirrored.example/team/probe:1");
    const { images } = await daemon.ask<{ images: { repoTags: string[] }[] }>("listImages", {});
    expect(images[0]?.repoTags).toEqual(["mirrored.example/team/probe:1"]);
  });

  test("and all that failed are named", async () => {
    await expect(pull("mirrored.example/team/none:1")).rejects.toMatchObject({
      details: expect.stringMatching(
        /also tried: "http:\/\/127\.0\.0\.1:1": .*"http:\/\/127\.0\.0\.1:\d+": /,
      ),
    });
  });

  test("config test shows which rule led where", () => {
    const shown = run(["config", "test", "mirrored.example/team/probe:1"]);
    expect(shown.status).toBe(0);
    expect(shown.stdout).toContain('[registry.hosts."mirrored.example"] of berth.toml');
    expect(shown.stdout).toMatch(
      /1\. http:\/\/127\.0\.0\.1:1\/v2\/ \(mirror\)[\s\S]*fails: +RegistryUnavailable/,
    );
    expect(shown.stdout).toMatch(/repository: +probe\n[\s\S]*has it: +sha256:[0-9a-f]{64}/);
    expect(run(["config", "test", "far.example/none:1"]).status).toBe(1);
  });
});

test("pulls lists what the daemon has pulled", async () => {
  await pull(`${tls.host}/probe:1`);
  const listed = run(["pulls"]);
  expect(listed.stdout).toMatch(new RegExp(`IMAGE +BEGAN +STATE[\\s\\S]*${tls.host}/probe:1 .* done `));
  const [record] = run(["pulls", "--format", "json", `${tls.host}/probe:1`]).stdout.split("\n");
  expect(JSON.parse(record ?? "")).toMatchObject({ image: `${tls.host}/probe:1`, error: "" });
  const log = readFileSync(daemon.scratch.log, "utf8");
  expect(log.split("\n").filter((line) => line.includes('"image pulled"')).length).toBeGreaterThan(0);
});
