// Where requests go: berth.toml, containerd's certs.d, docker's certificates, proxies.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connectionElsewhere, makeConnection } from "../../../src/registry/connection.ts";
import { endpointUrl, repositoryAt } from "../../../src/registry/endpoint.ts";
import { HostRules } from "../../../src/registry/host-rules.ts";
import { parseHostsToml } from "../../../src/registry/hosts-toml.ts";
import { environmentProxy } from "../../../src/registry/proxies.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync("/tmp/berth-certs-");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function put(directory: string, name: string, text: string): void {
  mkdirSync(join(folder, directory), { recursive: true });
  writeFileSync(join(folder, directory, name), text);
}
const rules = () => new HostRules({ hosts: {}, certsDirs: [join(folder, "missing"), folder] });
const bases = async (host: string) => (await rules().all(host)).map(({ base }) => base.href);

describe("hosts.toml", () => {
  it("gives hosts in their order, then the server", async () => {
    const text = `server = "https://registry-1.docker.io"
      [host."https://one.test"]
      capabilities = ["pull"]
      [host."http://two.test:5000/cache"]
      capabilities = ["pull", "resolve"]
      [host."https://three.test/api"]
      override_path = true
      [host."https://four.test/v2"]`;
    put("docker.io", "hosts.toml", text);
    expect(await bases("docker.io")).toEqual([
      "https://one.test/v2/",
      "http://two.test:5000/cache/v2/",
      "https://three.test/api/",
      "https://four.test/v2/",
      "https://registry-1.docker.io/v2/",
    ]);
    const resolving = await rules().endpoints("docker.io", "resolve");
    expect(resolving.map(({ base }) => base.host)).not.toContain("one.test");
    expect((await rules().endpoints("docker.io", "push")).map(({ base }) => base.host)).toEqual([
      "three.test",
      "four.test",
      "registry-1.docker.io",
    ]);
  });

  it("leads to the registry itself when it names no server", async () => {
    put("_default", "hosts.toml", '[host."https://mirror.test"]\ncapabilities = ["pull"]\n');
    expect(await bases("reg.test:5000")).toEqual(["https://mirror.test/v2/", "https://reg.test:5000/v2/"]);
    expect((await rules().endpoints("reg.test", "resolve")).map(({ base }) => base.host)).toEqual([
      "reg.test",
    ]);
  });

  it("is found under host_port_, host:port and _default, in this order", async () => {
    put("_default", "hosts.toml", 'server = "https://default.test"');
    expect(await bases("reg.test:5000")).toEqual(["https://default.test/v2/"]);
    put("reg.test:5000", "hosts.toml", 'server = "https://colon.test"');
    expect(await bases("reg.test:5000")).toEqual(["https://colon.test/v2/"]);
    put("reg.test_5000_", "hosts.toml", 'server = "under.test"');
    expect(await bases("reg.test:5000")).toEqual(["https://under.test/v2/"]);
  });

  it("is read again when it changes", async () => {
    const one = rules();
    put("reg.test", "hosts.toml", 'server = "https://before.test"');
    expect((await one.all("reg.test"))[0]?.base.host).toBe("before.test");
    put("reg.test", "hosts.toml", 'server = "https://after.test"');
    expect((await one.all("reg.test"))[0]?.base.host).toBe("after.test");
  });

  it("says how to talk to each host", async () => {
    put("reg.test", "ca.pem", "CA");
    put("reg.test", "client.pem", "BOTH");
    put("reg.test", "c.cert", "CERT");
    put("reg.test", "c.key", "KEY");
    const text = `
      ca = ["ca.pem", "${folder}/reg.test/ca.pem"]
      client = [["c.cert", "c.key"], ["client.pem", ""]]
      [header]
      x-own = ["a", "b"]
      [host."https://mirror.test"]
      ca = "ca.pem"
      client = "client.pem"
      skip_verify = true
      dial_timeout = "1m1.5s"
      proxy = "http://proxy.test:8080"
      [host."https://mirror.test".header]
      x-mirror = "m"`;
    put("reg.test", "hosts.toml", text);
    const [mirror, own] = await rules().all("reg.test");
    expect(mirror).toMatchObject({ isMirror: true, headers: { "x-mirror": ["m"] } });
    expect(mirror?.connection).toMatchObject({
      ca: ["CA"],
      client: [{ cert: "BOTH", key: "BOTH" }],
      skipVerify: true,
      connectMs: 61_500,
      proxy: "http://proxy.test:8080",
    });
    expect(own).toMatchObject({ isMirror: false, headers: { "x-own": ["a", "b"] } });
    expect(own?.connection).toMatchObject({
      ca: ["CA", "CA"],
      client: [
        { cert: "CERT", key: "KEY" },
        { cert: "BOTH", key: "BOTH" },
      ],
      skipVerify: false,
    });
  });

  it("makes a server for all registries no receiver of their credentials", async () => {
    put("_default", "hosts.toml", 'server = "https://cache.test"');
    put("reg.test", "hosts.toml", 'server = "https://alias.test"');
    expect(await rules().all("reg.test")).toMatchObject([{ isMirror: false }]);
    expect(await rules().all("other.test")).toMatchObject([{ isMirror: true }]);
    expect(await rules().all("cache.test")).toMatchObject([{ isMirror: false }]);
  });

  it.each([
    ["server = 3", 'key "server"'],
    ['server = "https://"', "not the URL"],
    ["server = [", "hosts.toml"],
    ['capabilities = ["fly"]', 'unknown capability "fly"'],
    ['dial_timeout = "soon"', "no duration"],
    ['proxy = "ftp://x"', "proxy must be"],
    ['proxy = "socks5://user@p:1080"', "proxy must be"],
    ['ca = "missing.pem"', "missing.pem"],
    ['[header]\n"a b" = "c"', "no header's name"],
    ['[header]\na = "c\\r\\nd: e"', "control characters"],
    ['[host."https://user:pw@x"]', "not the URL"],
  ])("%s is refused, and the file is named", async (text, message) => {
    put("reg.test", "hosts.toml", text);
    const refused = expect.objectContaining({ code: "FAILED_PRECONDITION" });
    await expect(rules().all("reg.test")).rejects.toEqual(refused);
    await expect(rules().all("reg.test")).rejects.toThrow(message);
    await expect(rules().all("reg.test")).rejects.toThrow(join(folder, "reg.test"));
  });

  it("passes over what it does not know", () => {
    expect(parseHostsToml('later = 1\n[host."https://x"]\nnew = []\n').hosts).toHaveLength(1);
  });

  it("says which capability no host has", async () => {
    put("reg.test", "hosts.toml", 'capabilities = ["pull"]');
    await expect(rules().endpoints("reg.test", "push")).rejects.toThrow(
      /no host may "push" by ".*hosts.toml"/,
    );
  });
});

describe("docker's certificates", () => {
  it("count where there is no hosts.toml", async () => {
    put("reg.test", "ca.crt", "CA");
    put("reg.test", "client.cert", "CERT");
    put("reg.test", "client.key", "KEY");
    const [own] = await rules().all("reg.test");
    expect(own?.connection).toMatchObject({ ca: ["CA"], client: [{ cert: "CERT", key: "KEY" }] });
    put("reg.test", "hosts.toml", "");
    expect((await rules().all("reg.test"))[0]?.connection).toMatchObject({ ca: [], client: [] });
  });

  it("make this machine's own registry speak TLS", async () => {
    put("127.0.0.1:5000", "ca.crt", "CA");
    expect(await bases("127.0.0.1:5000")).toEqual(["https://127.0.0.1:5000/v2/"]);
  });

  it("need the key of a client certificate", async () => {
    put("reg.test", "client.cert", "CERT");
    await expect(rules().all("reg.test")).rejects.toThrow('client.key" is missing');
  });
});

describe("berth.toml", () => {
  it("wins over certs.d, and gives mirrors their own settings", async () => {
    put("reg.test", "hosts.toml", 'server = "https://no.test"');
    put("x", "ca.pem", "CA");
    const found = await new HostRules({
      certsDirs: [folder],
      hosts: {
        "reg.test": {
          mirrors: [{ url: "https://mirror.test:444" }],
          rewrite: [{ pattern: "^library/(.*)$", replacement: "hub/$1" }],
        },
        "mirror.test:444": { mirrors: [], ca: [join(folder, "x/ca.pem")], proxy: "direct", maxDownloads: 2 },
      },
    }).all("reg.test");
    expect(found.map(({ base }) => base.href)).toEqual([
      "https://mirror.test:444/v2/",
      "https://reg.test/v2/",
    ]);
    const [mirror, own] = found;
    expect(mirror?.connection).toMatchObject({ ca: ["CA"], proxy: "direct" });
    expect(mirror?.maxDownloads).toBe(2);
    expect(repositoryAt(mirror!, "library/busybox")).toBe("hub/busybox");
    expect(repositoryAt(mirror!, "other/busybox")).toBe("other/busybox");
    expect(repositoryAt(own!, "library/busybox")).toBe("library/busybox");
    expect(endpointUrl(mirror!, "library/a", "manifests/v1").href).toBe(
      "https://mirror.test:444/v2/hub/a/manifests/v1?ns=reg.test",
    );
  });

  it.each([
    [{ ca: ["/dev/null"] }, "https:"],
    [{ insecureSkipVerify: true }, "https:"],
    [{ plainHttp: false }, "https:"],
    [{ plainHttp: true }, "http:"],
    [{}, "http:"],
  ])("for this machine with %j: %s", async (settings, protocol) => {
    const [own] = await new HostRules({ hosts: { "localhost:1": { mirrors: [], ...settings } } }).all(
      "localhost:1",
    );
    expect(own?.base.protocol).toBe(protocol);
  });
});

describe("a connection to where a registry sends us", () => {
  const own = makeConnection({ ca: ["CA"], client: [{ cert: "c", key: "k" }] });
  it("trusts the same authorities, but shows no certificate and leads to no address of ours", () => {
    const there = connectionElsewhere(own, new URL("https://reg.test/v2/"), new URL("https://cdn.test/x"));
    expect(there).toMatchObject({ ca: ["CA"], client: [], foreign: true });
    expect(connectionElsewhere(own, new URL("https://reg.test/v2/"), new URL("https://reg.test/x"))).toBe(
      own,
    );
  });
});

describe("proxies of the environment", () => {
  const proxyFor = (noProxy: string, url: string) =>
    environmentProxy({ http: "http://plain:1", https: "http://tls:2", noProxy }, new URL(url));

  it.each([
    ["", "https://reg.test/", "http://tls:2"],
    ["", "http://reg.test/", "http://plain:1"],
    ["", "http://localhost:5000/", null],
    ["", "http://127.0.0.1:5000/", null],
    ["*", "https://reg.test/", null],
    ["reg.test", "https://reg.test/", null],
    ["reg.test", "https://a.reg.test/", null],
    [".reg.test", "https://a.reg.test/", null],
    [".reg.test", "https://reg.test/", "http://tls:2"],
    ["*.reg.test", "https://a.reg.test/", null],
    ["reg.test", "https://evilreg.test/", "http://tls:2"],
    ["a, REG.test ,b", "https://reg.test/", null],
    ["reg.test:444", "https://reg.test/", "http://tls:2"],
    ["reg.test:443", "https://reg.test/", null],
    ["10.0.0.0/8", "https://10.1.2.3/", null],
    ["10.0.0.0/8", "https://11.1.2.3/", "http://tls:2"],
    ["10.0.0.0/99", "https://10.1.2.3/", "http://tls:2"],
    ["fd00::/8", "https://[fd00::1]/", null],
    ["10.1.2.3", "https://10.1.2.3/", null],
    ["fd00::1", "https://[fd00::1]:5000/", null],
    ["[fd00::1]:5000", "https://[fd00::1]:5000/", null],
  ])("no_proxy %j for %s: %s", (noProxy, url, proxy) => {
    expect(proxyFor(noProxy, url)).toBe(proxy);
  });
});
