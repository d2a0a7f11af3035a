import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { defaultParallelLayers } from "../../../src/config/images.ts";
import { registryOf } from "../../../src/config/registry.ts";
import { loadConfig, makeConfig, parseConfigFile, parseFlags } from "../../../src/config.ts";

const parse = (text: string) => makeConfig(parseConfigFile(text, "berth.toml"));

describe("the file", () => {
  test("defaults", () => {
    expect(parse("")).toMatchObject({
      root: "/var/lib/berth",
      state: "/run/berth",
      socket: "/run/berth/berth.sock",
      cgroupParent: "/berth",
      missingController: "refuse",
    });
  });

  test("mirrors by host", () => {
    const text = '[registry.hosts."registry.k8s.io"]\nmirrors = ["http://127.0.0.1:5000"]\n';
    expect(parse(text).registry.hosts["registry.k8s.io"]).toMatchObject({
      mirrors: [{ url: "http://127.0.0.1:5000" }],
    });
  });

  test.each([
    ['rot = "/x"', 'unknown key "rot"; the nearest known one is "root"'],
    ["[netwrk]\n", 'unknown key "netwrk"; the nearest known one is "network"'],
    ["[registry.hosts.x]\nmirors = []", 'nearest known one is "registry.hosts.x.mirrors"'],
    ["[registry]\nmax_download = 3", 'nearest known one is "registry.max_downloads"'],
    ['[registry.hosts.x]\nclient_cert = "/c"', "set both"],
    ['[registry.hosts.x]\nplain_http = true\nca = ["/c"]', "remove one of them"],
    ['[registry.hosts.x.rewrite]\n"(" = "y"', 'key "registry.hosts.x.rewrite"'],
    ['[registry.hosts."https://x"]', 'without "/"'],
    [
      '[registry.proxy]\nhttp = "socks5://u@x:1"',
      'key "registry.proxy.http" must be http://, https://, socks5://',
    ],
    ['[registry.proxy]\nhttps = "socks5h://u:@x:1"', 'key "registry.proxy.https" must be http://'],
    ["[images]\nmax_layers = 500", 'key "images.max_layers" must be <= 499'],
    ['[registry.proxy]\nhttp = "ftp://x"', 'key "registry.proxy.http" must be http://, https://, socks5://'],
    ['[registry.hosts."r.io"]\nproxy = "socks4://x"', 'key "registry.hosts.r.io.proxy" must be http://'],
    ["root = 3", 'key "root" must be string'],
    ['root = "relative"', 'key "root" must be an absolute path'],
    ['log_level = "loud"', '"debug", "info", "warn", "error"'],
    ["root = ", "berth.toml"],
    ['root = "/x"\nstate = "/x"', "they must differ"],
    [`state = "/${"s".repeat(90)}"`, "sockets of pods"],
    [`socket = "/${"s".repeat(107)}"`, "107 bytes"],
    ['cgroup_driver = "systemd"', "not supported yet"],
    ['[streaming]\naddress = "localhost"', "no IP address"],
    ['[streaming]\ntls_key = "/k"', "belong together"],
  ])("%s is refused", (text, message) => expect(() => parse(text)).toThrow(message));

  test("the example is legal, and says what holds anyway", () => {
    const text = readFileSync("examples/berth.toml", "utf8");
    const active = text.replace(/^#(?! )/gm, "");
    expect(parse(text)).toEqual(parse(""));
    expect(() => parse(active)).not.toThrow();
  });
});

describe("proxies of the environment", () => {
  const of = (env: NodeJS.ProcessEnv, table?: object) => registryOf({ proxy: table ?? {} }, env).proxy;

  test("as the usual variables say, unless the file says otherwise", () => {
    expect(of({ ALL_PROXY: "socks5://u:p@p:1080", https_proxy: "p:3128", no_proxy: "x" })).toEqual({
      http: "socks5://u:p@p:1080",
      https: "http://p:3128",
      noProxy: "x",
    });
    expect(of({ HTTP_PROXY: "http://a", HTTPS_PROXY: "" }, { http: "direct" })).toEqual({
      http: "direct",
      https: "",
      noProxy: "",
    });
  });

  test.each([
    ["HTTPS_PROXY", "socks4://u:hush@p:1080", 'environment variable HTTPS_PROXY ("socks4://…"): it must be'],
    ["ALL_PROXY", "socks5://user@p:1080", 'environment variable ALL_PROXY ("socks5://…")'],
    ["all_proxy", "socks5://u:hush@p:x", 'environment variable all_proxy ("socks5://…")'],
  ])("%s=%s is refused, without its password", (name, value, message) => {
    expect(() => of({ [name]: value })).toThrow(message);
    expect(() => of({ [name]: value })).not.toThrow("hush");
  });
});

test("layers in parallel follow the number of cores", () => {
  expect([1, 2, 4, 5, 64].map(defaultParallelLayers)).toEqual([3, 3, 5, 6, 6]);
  expect(parse("[images]\nparallel_layers = 1\n").images.parallelLayers).toBe(1);
});

describe("flags", () => {
  test("win over the file", () => {
    const flags = parseFlags(["--state", "/s", "--log-level", "debug"]);
    expect(makeConfig({ state: "/t", log_level: "warn" }, flags)).toMatchObject({
      state: "/s",
      socket: "/s/berth.sock",
      logLevel: "debug",
    });
  });

  test("unknown and relative ones are refused", () => {
    expect(() => parseFlags(["--rot", "/x"])).toThrow("--rot");
    expect(() => makeConfig({}, { root: "x" })).toThrow("not an absolute path");
    expect(() => loadConfig({ config: "/nonexistent/berth.toml" })).toThrow("read configuration");
  });
});
