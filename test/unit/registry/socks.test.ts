import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { RegistryConfig } from "../../../src/types/config.ts";
import { makeImage } from "../images/support/registry-server.ts";
import { SocksServer } from "./support/socks-server.ts";
import { coded, readBlob, request, useStage } from "./support/stage.ts";

const stage = useStage();
let socks: SocksServer;
beforeEach(async () => {
  socks = await new SocksServer().listen();
  socks.port = stage.registry.port;
});
afterEach(() => socks.close());

const through = (proxy: string, host = "far.example"): RegistryConfig => ({
  hosts: { [host]: { mirrors: [], plainHttp: true, proxy } },
});

it.each(["socks5", "socks5h"])(
  "%s: the proxy resolves the name, and is shown its credentials",
  async (scheme) => {
    socks.credentials = "al:i:ce@home";
    const { layers, digest } = makeImage(stage.registry, "a/b", "v1", ["content"]);
    const client = stage.client(through(`${scheme}://al:i%3Ace%40home@${socks.host}`));
    const asked = request("far.example/a/b:v1");
    expect(await client.resolve(asked, 10_000)).toMatchObject({ digest });
    const { bytes } = layers[0]!;
    expect(await readBlob(client, asked, bytes)).toEqual(bytes);
    expect(new Set(socks.requests.map((one) => JSON.stringify(one)))).toEqual(
      new Set([JSON.stringify({ by: "al:i:ce@home", target: "far.example:80" })]),
    );
  },
);

it("is what the environment says, but not for this machine", async () => {
  const { digest } = makeImage(stage.registry, "a/b", "v1", ["x"]);
  const proxy = `socks5://${socks.host}`;
  const config = { hosts: through("").hosts, proxy: { http: proxy, https: proxy, noProxy: "" } };
  const client = stage.client(config);
  expect(await client.resolve(request(`${stage.registry.host}/a/b:v1`), 10_000)).toMatchObject({ digest });
  expect(socks.requests).toEqual([]);
  expect(await client.resolve(request("far.example/a/b:v1"), 10_000)).toMatchObject({ digest });
  expect(socks.requests).toEqual([{ by: "", target: "far.example:80" }]);
});

it.each([
  ["10.1.2.3:5000", "10.1.2.3:5000"],
  ["[fd00::12]:5000", `[fd${"0".repeat(28)}12]:5000`],
])("leads to the address %s", async (host, target) => {
  const { digest } = makeImage(stage.registry, "a/b", "v1", ["x"]);
  const client = stage.client(through(`socks5://${socks.host}`, host));
  expect(await client.resolve(request(`${host}/a/b:v1`), 10_000)).toMatchObject({ digest });
  expect(socks.requests).toEqual([{ by: "", target }]);
});

it.each([
  ["the password is wrong", () => (socks.credentials = "u:other"), /Authentication failed/],
  ["the host is refused", () => (socks.reply = 5), /Connection refused/],
  ["no answer comes", () => (socks.reply = null), /[Tt]imeout/],
])("says through which proxy it failed, without its password: %s", async (_, arrange, reason) => {
  arrange();
  const client = stage.client(through(`socks5://u:hush@${socks.host}`), { connectMs: 200, retries: 0 });
  const failed = await client.resolve(request("far.example/a/b:v1"), 10_000).catch((error: Error) => error);
  expect(failed).toEqual(coded("UNAVAILABLE", `through proxy "socks5://${socks.host}"`));
  expect((failed as Error).message).toMatch(reason);
  expect((failed as Error).message).not.toContain("hush");
});

it("uploads go to no address of this machine because the registry says so", async () => {
  const { registry, other } = stage;
  registry.intercept = (_asked, response) => {
    response.writeHead(202, { location: `${other.url}/v2/a/b/blobs/uploads/1` }).end();
    return true;
  };
  const client = stage.client(through(`socks5://${socks.host}`), { retries: 0 });
  const target = await client.pushTarget(request("far.example/a/b:v1"));
  const blob = { mediaType: "a/b", digest: `sha256:${"0".repeat(64)}`, size: 1 };
  await expect(target.uploadBlob(blob, { open: () => Readable.from(["x"]) })).rejects.toEqual(
    coded("UNAVAILABLE", "is an address of this machine"),
  );
  expect(other.requests).toEqual([]);
  expect(socks.requests.map((one) => one.target)).toEqual(["far.example:80"]);
});

it("carries TLS, and what it says is checked", async () => {
  const folder = mkdtempSync(join(tmpdir(), "berth-socks-"));
  try {
    const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    const subject = ["-subj", "/CN=far.example", "-addext", "subjectAltName=DNS:far.example,IP:10.1.2.3"];
    execFileSync(
      "openssl",
      [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-keyout",
        key,
        "-out",
        cert,
        ...subject,
      ],
      { stdio: "pipe" },
    );
    const server = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_, response) => {
      response.end('{"schemaVersion":2}');
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    socks.port = (server.address() as AddressInfo).port;
    const proxy = `socks5://${socks.host}`;
    const resolve = (host: string, ca: string[]) =>
      stage
        .client({ hosts: { [host]: { mirrors: [], proxy, ca } } }, { retries: 0 })
        .resolve(request(`${host}/a/b:v1`), 10_000);
    for (const host of ["far.example", "10.1.2.3"]) {
      expect(Buffer.from((await resolve(host, [cert])).bytes).toString()).toBe('{"schemaVersion":2}');
    }
    await expect(resolve("far.example", [])).rejects.toEqual(coded("UNAVAILABLE", "set ca under"));
    await expect(resolve("other.example", [cert])).rejects.toEqual(coded("UNAVAILABLE", "does not match"));
    expect(socks.requests.map(({ target }) => target)).toContain("far.example:443");
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
