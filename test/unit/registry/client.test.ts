import { beforeEach, describe, expect, it } from "vitest";
import type { RegistryConfig } from "../../../src/types/config.ts";
import type { RegistryAuth } from "../../../src/types/image.ts";
import { sha256 } from "../images/support/fake-layers.ts";
import { makeImage, RegistryServer } from "../images/support/registry-server.ts";
import { coded, readBlob, request, useStage } from "./support/stage.ts";

let registry: RegistryServer;
let other: RegistryServer;
const stage = useStage();
const { client } = stage;
beforeEach(() => {
  registry = stage.registry;
  other = stage.other;
});

const nobody = {
  username: "",
  password: "",
  auth: "",
  serverAddress: "",
  identityToken: "",
  registryToken: "",
};
const alice: RegistryAuth = { ...nobody, username: "alice", password: "s3cret" };
const aliceBasic = `Basic ${Buffer.from("alice:s3cret").toString("base64")}`;

describe("resolve", () => {
  it("gets a manifest by tag and by digest", async () => {
    const { digest } = makeImage(registry, "a/b", "v1", ["x"]);
    const byTag = await client().resolve(request(`${registry.host}/a/b:v1`), 10_000);
    expect(byTag).toMatchObject({ digest, mediaType: "application/vnd.oci.image.manifest.v1+json" });
    const byDigest = await client().resolve(request(`${registry.host}/a/b@${digest}`), 10_000);
    expect(byDigest.bytes).toEqual(byTag.bytes);
    expect(registry.requests[0]?.headers.accept).toContain("manifest.list.v2+json");
  });

  it("refuses other content than the digest asked for or told", async () => {
    const { digest } = makeImage(registry, "a/b", "v1", ["x"]);
    registry.manifests.set(`a/b/${digest}`, { type: "x/y", bytes: Buffer.from("{}") });
    await expect(client().resolve(request(`${registry.host}/a/b@${digest}`), 10_000)).rejects.toEqual(
      coded("DATA_LOSS", sha256(Buffer.from("{}"))),
    );
    registry.intercept = (_, response) => {
      response.setHeader("docker-content-digest", digest);
      response.end("{}");
      return true;
    };
    await expect(client().resolve(request(`${registry.host}/a/b:v1`), 10_000)).rejects.toEqual(
      coded("DATA_LOSS", digest),
    );
  });

  it.each(["told", "untold"])("refuses a huge manifest, its length %s", async (how) => {
    registry.intercept = (_, response) => {
      if (how === "told") response.setHeader("content-length", 1e9);
      response.write(Buffer.alloc(20_000, 32));
      return true;
    };
    await expect(client().resolve(request(`${registry.host}/a:v1`), 10_000)).rejects.toEqual(
      coded("DATA_LOSS", "longer than 10000 bytes"),
    );
  });

  it("says NOT_FOUND, and whose words the rest are", async () => {
    await expect(client().resolve(request(`${registry.host}/a:v1`), 10_000)).rejects.toEqual(
      coded("NOT_FOUND", `not found in registry "${registry.url}": 404 (manifest unknown)`),
    );
  });

  it("begins with RegistryUnavailable when nobody answers", async () => {
    const gone = await new RegistryServer().listen();
    const host = gone.host;
    await gone.close();
    await expect(client().resolve(request(`${host}/a:v1`), 10_000)).rejects.toEqual(
      expect.objectContaining({
        code: "UNAVAILABLE",
        message: expect.stringMatching(/^RegistryUnavailable: /),
      }),
    );
  });

  it("stops when its caller goes away", async () => {
    const controller = new AbortController();
    registry.intercept = () => {
      controller.abort(new Error("gone"));
      return true;
    };
    await expect(
      client().resolve(request(`${registry.host}/a:v1`, undefined, controller.signal), 10_000),
    ).rejects.toThrow("gone");
  });
});

describe("mirrors", () => {
  const mirrored = (...urls: string[]): RegistryConfig => ({
    hosts: { "reg.test": { mirrors: urls.map((url) => ({ url })), plainHttp: true } },
  });

  it("serve under the registry's name, and are told which it is", async () => {
    const { digest } = makeImage(registry, "a/b", "v1", ["x"]);
    const asked: string[] = [];
    registry.intercept = (_request, _response, url) => asked.push(url.search) < 0;
    const found = await client(mirrored(registry.url)).resolve(request("reg.test/a/b:v1"), 10_000);
    expect(found).toMatchObject({ digest, from: `${registry.url}/v2/` });
    expect(asked).toEqual(["?ns=reg.test"]);
  });

  it("are tried in order", async () => {
    makeImage(other, "a/b", "v1", ["x"]);
    const found = await client(mirrored(registry.url, other.url)).resolve(request("reg.test/a/b:v1"), 10_000);
    expect(found.from).toBe(`${other.url}/v2/`);
    expect(registry.requests).toHaveLength(1);
  });

  it("keep a path of their own", async () => {
    const found = client(mirrored(`${registry.url}/cache/v2/k8s/`)).resolve(request("reg.test/a:v1"), 10_000);
    await expect(found).rejects.toThrow();
    expect(registry.paths()).toEqual(["/cache/v2/k8s/a/manifests/v1"]);
  });

  it("never get credentials", async () => {
    registry.intercept = (_, response) => {
      response.writeHead(401, { "www-authenticate": 'Basic realm="x"' }).end();
      return true;
    };
    await expect(
      client(mirrored(registry.url)).resolve(request("reg.test/a:v1", alice), 10_000),
    ).rejects.toThrow(`also tried: "${registry.url}"`);
    expect(registry.requests.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  it("must be URLs", async () => {
    await expect(client(mirrored("127.0.0.1:1")).resolve(request("reg.test/a"), 1000)).rejects.toEqual(
      coded("INVALID_ARGUMENT", "must be a URL"),
    );
  });
});

describe("authentication", () => {
  const challenge = (value: string) => {
    const bare = registry.intercept;
    registry.intercept = (asked, response, url) => {
      if (url.pathname === "/token" || asked.headers.authorization !== undefined)
        return bare(asked, response, url);
      response.writeHead(401, { "www-authenticate": value }).end();
      return true;
    };
  };

  it("answers Basic with the credentials", async () => {
    makeImage(registry, "a", "v1", ["x"]);
    challenge('Basic realm="r"');
    await client().resolve(request(`${registry.host}/a:v1`, alice), 10_000);
    expect(registry.requests.at(-1)?.headers.authorization).toBe(aliceBasic);
  });

  it("fetches a token from the realm, once", async () => {
    const { layers } = makeImage(registry, "a", "v1", ["x"]);
    const queries: string[] = [];
    registry.intercept = (asked, response, url) => {
      if (url.pathname !== "/token") return false;
      queries.push(`${url.search} ${asked.headers.authorization}`);
      response.end(JSON.stringify({ access_token: "t0ken", expires_in: 300 }));
      return true;
    };
    challenge(`Bearer realm="${registry.url}/token",service="s",scope="repository:a:pull,push"`);
    const used = client();
    const asked = request(`${registry.host}/a:v1`, { ...nobody, auth: btoa("alice:s3cret") });
    await used.resolve(asked, 10_000);
    await readBlob(used, asked, layers[0]!.bytes);
    expect(queries).toEqual([`?service=s&scope=repository%3Aa%3Apull ${aliceBasic}`]);
    expect(registry.requests.at(-1)?.headers.authorization).toBe("Bearer t0ken");
  });

  it("keeps credentials for another server to itself", async () => {
    challenge('Basic realm="r"');
    const auth = { ...alice, serverAddress: "https://elsewhere.test/v2/" };
    await expect(client().resolve(request(`${registry.host}/a:v1`, auth), 10_000)).rejects.toEqual(
      coded("PERMISSION_DENIED", "denies access"),
    );
    expect(registry.requests).toHaveLength(1);
  });

  it.each(["file:///etc/passwd", "nonsense", "http://u:p@127.0.0.1/", "", "javascript:1"])(
    "refuses the realm %j",
    async (realm) => {
      challenge(`Bearer realm="${realm}"`);
      await expect(client().resolve(request(`${registry.host}/a:v1`, alice), 10_000)).rejects.toEqual(
        coded("PERMISSION_DENIED", "its realm"),
      );
    },
  );

  it.each(["bad\ttoken", "", 7, null])("refuses the token %j", async (token) => {
    registry.intercept = (_request, response, url) => {
      if (url.pathname === "/token") response.end(JSON.stringify({ token }));
      return url.pathname === "/token";
    };
    challenge(`Bearer realm="${registry.url}/token"`);
    await expect(client().resolve(request(`${registry.host}/a:v1`), 10_000)).rejects.toThrow(
      "read the token",
    );
  });

  it("says so when the credentials are wrong", async () => {
    registry.intercept = (_, response) => {
      response.writeHead(401, { "www-authenticate": 'Basic realm="r"' }).end();
      return true;
    };
    await expect(client().resolve(request(`${registry.host}/a:v1`, alice), 10_000)).rejects.toEqual(
      coded("PERMISSION_DENIED", "check the name and the credentials"),
    );
    expect(registry.requests).toHaveLength(2);
  });
});

describe("redirects", () => {
  it("to another host do not carry credentials", async () => {
    const { bytes } = other.addBlob(Buffer.from("content"));
    registry.intercept = (asked, response, url) => {
      if (asked.headers.authorization === undefined) {
        response.writeHead(401, { "www-authenticate": 'Basic realm="r"' }).end();
      } else {
        response.writeHead(307, { location: `${other.url}${url.pathname}` }).end();
      }
      return true;
    };
    expect(await readBlob(client(), request(`${registry.host}/a`, alice), bytes)).toEqual(bytes);
    expect(other.requests.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  it("end after a few", async () => {
    registry.intercept = (_request, response, url) => {
      response.writeHead(302, { location: url.pathname }).end();
      return true;
    };
    await expect(client().resolve(request(`${registry.host}/a:v1`), 1000)).rejects.toThrow(
      "more than 5 times",
    );
    expect(registry.requests).toHaveLength(6);
  });

  it.each([
    ["file:///etc/passwd", "file:///etc/passwd"],
    ["http://user:pw@127.0.0.1/", "http://127.0.0.1/"],
    ["ftp://127.0.0.1/x?signature=secret#y", "ftp://127.0.0.1/x"],
    ["http://[", "http://["],
  ])("to %j are refused", async (location, shown) => {
    registry.intercept = (_request, response) => {
      response.writeHead(302, { location }).end();
      return true;
    };
    await expect(client().resolve(request(`${registry.host}/a:v1`), 1000)).rejects.toThrow(
      `redirects to "${shown}"`,
    );
  });

  it("do not make another host's challenge ours", async () => {
    other.intercept = (_request, response) => {
      response.writeHead(401, { "www-authenticate": 'Basic realm="r"' }).end();
      return true;
    };
    registry.intercept = (_request, response, url) => {
      response.writeHead(302, { location: `${other.url}${url.pathname}` }).end();
      return true;
    };
    await expect(client().resolve(request(`${registry.host}/a:v1`, alice), 1000)).rejects.toThrow("401");
    expect([...registry.requests, ...other.requests].map(({ headers }) => headers.authorization)).toEqual([
      undefined,
      undefined,
    ]);
  });
});
