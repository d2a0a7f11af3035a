import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RegistryClient, type RegistryRequest } from "../../../src/registry/client.ts";
import { parseReference } from "../../../src/registry/reference.ts";
import type { Timings } from "../../../src/registry/transport.ts";
import type { RegistryConfig } from "../../../src/types/config.ts";
import type { RegistryAuth } from "../../../src/types/image.ts";
import { sha256 } from "../images/support/fake-layers.ts";
import { makeImage, RegistryServer } from "../images/support/registry-server.ts";

let registry: RegistryServer;
let other: RegistryServer;
const clients: RegistryClient[] = [];

beforeEach(async () => {
  registry = await new RegistryServer().listen();
  other = await new RegistryServer().listen();
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await registry.close();
  await other.close();
});

function client(config: RegistryConfig = { hosts: {} }, timings: Partial<Timings> = {}): RegistryClient {
  const made = new RegistryClient(config, { retryBaseMs: 1, retries: 2, ...timings });
  clients.push(made);
  return made;
}

function request(image: string, auth?: RegistryAuth, signal = new AbortController().signal): RegistryRequest {
  return { reference: parseReference(image), auth, signal };
}

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

const coded = (code: string, text: string) =>
  expect.objectContaining({ code, message: expect.stringContaining(text) });

async function readBlob(from: RegistryClient, asked: RegistryRequest, bytes: Buffer, size = bytes.length) {
  const descriptor = { mediaType: "application/x", digest: sha256(bytes), size };
  const pieces: Uint8Array[] = [];
  for await (const piece of from.blob(asked, descriptor)) pieces.push(piece);
  return Buffer.concat(pieces);
}

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
    ).rejects.toThrow(`tried before: "${registry.url}"`);
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
    expect(queries).toEqual([`?scope=repository%3Aa%3Apull&service=s ${aliceBasic}`]);
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

  it.each(["file:///etc/passwd", "http://user:pw@127.0.0.1/", "http://["])(
    "to %j are refused",
    async (location) => {
      registry.intercept = (_request, response) => {
        response.writeHead(302, { location }).end();
        return true;
      };
      await expect(client().resolve(request(`${registry.host}/a:v1`), 1000)).rejects.toThrow("redirects to");
    },
  );

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

describe("trying again", () => {
  it("after 429, 5xx and a reset connection", async () => {
    makeImage(registry, "a", "v1", ["x"]);
    let tries = 0;
    registry.intercept = (asked, response) => {
      tries++;
      if (tries === 1) response.writeHead(429, { "retry-after": "0" }).end();
      else if (tries === 2) asked.socket.destroy();
      return tries < 3;
    };
    await client().resolve(request(`${registry.host}/a:v1`), 10_000);
    expect(tries).toBe(3);
  });

  it("is given up when the registry asks for too long a wait", async () => {
    registry.intercept = (_, response) => {
      response.writeHead(429, { "retry-after": "3600" }).end();
      return true;
    };
    await expect(client().resolve(request(`${registry.host}/a:v1`), 10_000)).rejects.toEqual(
      coded("UNAVAILABLE", "RegistryUnavailable: "),
    );
    expect(registry.requests).toHaveLength(1);
  });

  it("is given up after a few times", async () => {
    registry.intercept = (_, response) => {
      response.writeHead(503).end();
      return true;
    };
    await expect(client().resolve(request(`${registry.host}/a:v1`), 10_000)).rejects.toThrow("503");
    expect(registry.requests).toHaveLength(3);
  });
});

describe("blob", () => {
  const content = Buffer.alloc(300_000, "0123456789");

  it.each([
    ["longer, told", 10, true],
    ["longer, untold", 10, false],
    ["shorter, told", content.length + 10, true],
    ["shorter, untold", content.length + 10, false],
  ])("refuses content that is %s than its descriptor", async (_, size, told) => {
    registry.intercept = (_request, response) => {
      if (told) response.setHeader("content-length", content.length);
      response.end(content);
      return true;
    };
    await expect(readBlob(client(), request(`${registry.host}/a`), content, size)).rejects.toEqual(
      coded("DATA_LOSS", `says ${size}`),
    );
  });

  it("does not read a body that never ends", async () => {
    let sent = 0;
    registry.intercept = (_request, response) => {
      const more = () => {
        while (!response.destroyed && response.write(content)) sent += content.length;
      };
      response.on("drain", more);
      more();
      return true;
    };
    await expect(readBlob(client(), request(`${registry.host}/a`), content)).rejects.toEqual(
      coded("DATA_LOSS", "at least"),
    );
    expect(sent).toBeLessThan(100 * content.length);
  });

  it("takes a broken connection up where it broke", async () => {
    registry.addBlob(content);
    const ranges: (string | undefined)[] = [];
    registry.intercept = (asked, response) => {
      ranges.push(asked.headers.range);
      if (ranges.length > 1) return false;
      response.writeHead(200, { "content-length": content.length });
      response.write(content.subarray(0, 100_000), () => response.destroy());
      return true;
    };
    expect(await readBlob(client(), request(`${registry.host}/a`), content)).toEqual(content);
    expect(ranges).toEqual([undefined, expect.stringMatching(/^bytes=\d+-$/)]);
  });

  it("skips what it has when the registry knows no ranges", async () => {
    let tries = 0;
    registry.intercept = (_request, response) => {
      response.writeHead(200, { "content-length": content.length });
      if (++tries === 1) response.write(content.subarray(0, 100_000), () => response.destroy());
      else response.end(content);
      return true;
    };
    expect(await readBlob(client(), request(`${registry.host}/a`), content)).toEqual(content);
  });

  it("gives up a connection that breaks again and again", async () => {
    registry.intercept = (_request, response) => {
      response.writeHead(200, { "content-length": content.length });
      response.write("x", () => response.destroy());
      return true;
    };
    await expect(readBlob(client(), request(`${registry.host}/a`), content)).rejects.toEqual(
      coded("UNAVAILABLE", "RegistryUnavailable: "),
    );
    expect(registry.requests).toHaveLength(3);
  });

  it("gives up a stalled body", async () => {
    registry.intercept = (_request, response) => {
      response.writeHead(200, { "content-length": content.length });
      response.write("x");
      return true;
    };
    const impatient = client({ hosts: {} }, { stallMs: 30, retries: 0 });
    await expect(readBlob(impatient, request(`${registry.host}/a`), content)).rejects.toEqual(
      coded("UNAVAILABLE", "fewer than 1024 bytes"),
    );
  });

  it("does not count the time its reader takes", async () => {
    registry.addBlob(content);
    const impatient = client({ hosts: {} }, { stallMs: 50, retries: 0 });
    const descriptor = { mediaType: "x/y", digest: sha256(content), size: content.length };
    let bytes = 0;
    for await (const piece of impatient.blob(request(`${registry.host}/a`), descriptor)) {
      await new Promise((resolve) => setTimeout(resolve, 30));
      bytes += piece.byteLength;
    }
    expect(bytes).toBe(content.length);
  });

  it("goes on at the registry when a mirror breaks half way", async () => {
    other.addBlob(content);
    registry.intercept = (_request, response) => {
      response.writeHead(200, { "content-length": content.length });
      response.write(content.subarray(0, 100_000), () => response.destroy());
      return true;
    };
    const config = { hosts: { [other.host]: { mirrors: [{ url: registry.url }], plainHttp: true } } };
    const used = client(config, { retries: 0 });
    expect(await readBlob(used, request(`${other.host}/a`), content)).toEqual(content);
    expect(other.requests[0]?.headers.range).toMatch(/^bytes=[1-9]/);
  });
});
