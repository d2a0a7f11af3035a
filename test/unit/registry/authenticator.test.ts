import { afterAll, describe, expect, it } from "vitest";
import { Authenticator } from "../../../src/registry/authenticator.ts";
import { parseChallenges } from "../../../src/registry/challenge.ts";
import { basicHeader, credentialsFor, fingerprint } from "../../../src/registry/credentials.ts";
import { endpointUrl } from "../../../src/registry/endpoint.ts";
import { HostRules } from "../../../src/registry/host-rules.ts";
import { retryAfterMs } from "../../../src/registry/retry.ts";
import { defaultTimings, Transport } from "../../../src/registry/transport.ts";

const transport = new Transport(defaultTimings);
afterAll(() => transport.close());
const nobody = {
  username: "",
  password: "",
  auth: "",
  serverAddress: "",
  identityToken: "",
  registryToken: "",
};

describe("the realm of a registry elsewhere", () => {
  // None of these is ever contacted: they are refused first.
  it.each([
    "http://auth.test/token",
    "https://127.0.0.1/token",
    "https://127.9.9.9/token",
    "https://localhost:6443/api",
    "https://[::1]/token",
    "https://169.254.169.254/latest/meta-data",
    "https://[::ffff:169.254.169.254]/latest",
    "https://[fe80::1]/token",
    "https://0x7f.1/token",
    "https://2130706433/token",
  ])("must not be %s", async (realm) => {
    const [endpoint] = await new HostRules({ hosts: {} }).all("reg.test");
    const access = { endpoint: endpoint!, repository: "a", actions: "pull", credentials: undefined } as const;
    const challenges = parseChallenges(`Bearer realm="${realm}"`);
    const signal = AbortSignal.timeout(1000);
    const answer = new Authenticator(transport).answer(access, challenges, undefined, signal);
    await expect(answer).rejects.toMatchObject({ code: "PERMISSION_DENIED" });
  });
});

describe("credentialsFor", () => {
  it.each([
    ["docker.io", "https://index.docker.io/v1/", true],
    ["docker.io", "registry-1.docker.io", true],
    ["reg.test:5000", "reg.test:5000", true],
    ["reg.test", "https://reg.test", true],
    ["reg.test", "", true],
    ["reg.test", "reg.test:5000", false],
    ["reg.test", "evil.test/reg.test", false],
    ["reg.test", "https://reg.test.evil.test/", false],
    ["reg.test", "https://reg.test@evil.test/", false],
  ])("for %s with the server address %j: %s", (host, serverAddress, given) => {
    const auth = { ...nobody, username: "u", password: "p", serverAddress };
    expect(credentialsFor(auth, host) !== undefined).toBe(given);
  });

  it("reads the base64 form, where a password may have colons", () => {
    const credentials = credentialsFor({ ...nobody, auth: btoa("u:p:q") }, "reg.test");
    expect(credentials).toMatchObject({ username: "u", password: "p:q" });
    expect(basicHeader(credentials!)).toBe(`Basic ${btoa("u:p:q")}`);
    expect(credentialsFor(nobody, "reg.test")).toBeUndefined();
  });

  it("has a fingerprint that does not tell them", () => {
    const auth = { ...nobody, username: "u", password: "secret" };
    expect(fingerprint(auth)).toMatch(/^[0-9a-f]{64}$/);
    expect(fingerprint(auth)).not.toBe(fingerprint({ ...auth, password: "other" }));
    expect(fingerprint(undefined)).toBe("");
  });
});

describe("the registry itself", () => {
  const bases = async (host: string, plainHttp = false) => {
    const rules = new HostRules({ hosts: plainHttp ? { [host]: { mirrors: [], plainHttp } } : {} });
    return (await rules.all(host)).map(({ base }) => base.href);
  };

  it.each([
    ["docker.io", "https://registry-1.docker.io/v2/"],
    ["registry.k8s.io", "https://registry.k8s.io/v2/"],
    ["localhost:5000", "http://localhost:5000/v2/"],
    ["127.0.0.1:5000", "http://127.0.0.1:5000/v2/"],
    ["[::1]:5000", "http://[::1]:5000/v2/"],
    ["localhost.evil.test", "https://localhost.evil.test/v2/"],
    ["127.0.0.1.evil.test", "https://127.0.0.1.evil.test/v2/"],
  ])("of %s: plain HTTP on this machine only", async (host, base) => {
    expect(await bases(host)).toEqual([base]);
  });

  it.each(["1.2.3.999", "x.y:99999", "[:::::]"])("refuses the host %s", async (host) => {
    await expect(bases(host)).rejects.toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });

  it("speaks plain HTTP when it is told to", async () => {
    expect(await bases("reg.test:80", true)).toEqual(["http://reg.test/v2/"]);
    const [endpoint] = await new HostRules({ hosts: {} }).all("reg.test");
    expect(endpointUrl(endpoint!, "a/b", "manifests/v1").href).toBe("https://reg.test/v2/a/b/manifests/v1");
  });
});

it("reads Retry-After as seconds or a date", () => {
  expect(retryAfterMs("7")).toBe(7000);
  expect(retryAfterMs(new Date(0).toUTCString())).toBe(0);
  expect(retryAfterMs(undefined)).toBeUndefined();
  expect(retryAfterMs("soon")).toBeUndefined();
  expect(retryAfterMs("1e999")).toBeUndefined();
});
