import { afterEach, beforeEach, expect, it } from "vitest";
import { checkLogin } from "../../../src/images/check-login.ts";
import { testRegistry } from "../../../src/images/test-registry.ts";
import { type Bench, makeBench, makeCall } from "./support/bench.ts";
import { fakeLayers } from "./support/fake-layers.ts";
import { makeImage, RegistryServer } from "./support/registry-server.ts";

const none = { auth: "", serverAddress: "", identityToken: "", registryToken: "" };
let registry: RegistryServer;
let bench: Bench;
beforeEach(async () => {
  registry = await new RegistryServer().listen();
  bench = makeBench(fakeLayers());
  registry.intercept = (asked, response, url) => {
    const good = asked.headers.authorization === `Basic ${btoa("alice:pw")}`;
    if (!good) response.writeHead(401, { "www-authenticate": 'Basic realm="r"' }).end();
    else if (url.pathname === "/v2/") response.end("{}");
    return !good || url.pathname === "/v2/";
  };
});
afterEach(async () => {
  await bench.close();
  await registry.close();
});

const login = (host: string, password: string) =>
  checkLogin(bench.deps, makeCall(), { registry: host, auth: { ...none, username: "alice", password } });

it("asks the registry itself", async () => {
  await login(registry.host, "pw");
  await expect(login(registry.host, "wrong")).rejects.toMatchObject({ code: "PERMISSION_DENIED" });
});

it.each(["registry", "reg.test/path", "", "a b", "https://reg.test"])(
  "sends nothing anywhere for %j, which is no host",
  async (host) => {
    await expect(login(host, "pw")).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  },
);

it("says of an image what each host has", async () => {
  const { digest } = makeImage(registry, "a", "v1", ["x"]);
  const auth = { ...none, username: "alice", password: "pw" };
  const report = await testRegistry(bench.deps, makeCall(), { image: `${registry.host}/a:v1`, auth });
  expect(report.endpoints).toMatchObject([
    { url: `${registry.url}/v2/`, rule: "default", credentials: "call", digest, error: "", isMirror: false },
  ]);
  const { endpoints } = await testRegistry(bench.deps, makeCall(), { image: `${registry.host}/a:v1` });
  expect(endpoints).toMatchObject([
    { credentials: "", digest: "", error: expect.stringContaining("denies") },
  ]);
});
