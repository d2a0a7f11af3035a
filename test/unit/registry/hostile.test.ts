// Registries that mean harm, or are merely broken.

import { beforeEach, describe, expect, it } from "vitest";
import { isLocalAddress, lookupElsewhere } from "../../../src/registry/addresses.ts";
import { Slots } from "../../../src/registry/slots.ts";
import { sha256 } from "../images/support/fake-layers.ts";
import { makeImage, type RegistryServer } from "../images/support/registry-server.ts";
import { coded, readBlob, request, useStage } from "./support/stage.ts";

let registry: RegistryServer;
let other: RegistryServer;
const stage = useStage();
const { client } = stage;
beforeEach(() => {
  registry = stage.registry;
  other = stage.other;
});
const content = Buffer.alloc(300_000, "0123456789");
const auth = {
  username: "alice",
  password: "s3cret",
  auth: "",
  serverAddress: "",
  identityToken: "",
  registryToken: "",
};

describe("a pull does not hang", () => {
  it("on a body that dribbles: a minimum rate over a window", async () => {
    registry.intercept = (_request, response) => {
      response.writeHead(200, { "content-length": content.length });
      const timer = setInterval(() => response.write("x"), 5);
      response.on("close", () => clearInterval(timer));
      return true;
    };
    const impatient = client({ hosts: {} }, { stallMs: 100, stallBytes: 1000, retries: 1 });
    await expect(readBlob(impatient, request(`${registry.host}/a`), content)).rejects.toEqual(
      coded("UNAVAILABLE", "fewer than 1000 bytes in 0.1 s"),
    );
    expect(registry.requests).toHaveLength(2);
  });

  it("on a manifest that dribbles", async () => {
    registry.intercept = (_request, response) => {
      response.write("{");
      return true;
    };
    const impatient = client({ hosts: {} }, { stallMs: 50, retries: 0 });
    await expect(impatient.resolve(request(`${registry.host}/a:v1`), 1000)).rejects.toThrow("fewer than");
  });

  it("on headers that do not come", async () => {
    registry.intercept = () => true;
    const impatient = client({ hosts: {} }, { headersMs: 100, retries: 0 });
    await expect(impatient.resolve(request(`${registry.host}/a:v1`), 1000)).rejects.toThrow(
      "RegistryUnavailable",
    );
  });

  it("on interim answers without end", async () => {
    registry.intercept = (_request, response) => {
      const timer = setInterval(() => response.writeProcessing(), 5);
      response.on("close", () => clearInterval(timer));
      return true;
    };
    const impatient = client({ hosts: {} }, { headersMs: 5_000, retries: 1 });
    await expect(impatient.resolve(request(`${registry.host}/a:v1`), 1000)).rejects.toEqual(
      coded("UNAVAILABLE", "more than 8 interim answers"),
    );
    expect(registry.requests).toHaveLength(2);
  });

  it("on an error whose body never ends, nor on a redirect's", async () => {
    let hops = 0;
    registry.intercept = (_request, response, url) => {
      if (hops++ < 3) response.writeHead(302, { location: `${url.pathname}?${hops}` });
      else response.writeHead(404, { "content-type": "text/plain" });
      response.write("x");
      return true;
    };
    const impatient = client({ hosts: {} }, { stallMs: 50, retries: 0 });
    await expect(impatient.resolve(request(`${registry.host}/a:v1`), 1000)).rejects.toEqual(
      coded("NOT_FOUND", "404"),
    );
  });
});

describe("the daemon does not read without end", () => {
  it("headers", async () => {
    registry.intercept = (_request, response) => {
      response.writeHead(200, { "x-long": "y".repeat(12_000), "x-longer": "y".repeat(12_000) }).end("{}");
      return true;
    };
    await expect(
      client({ hosts: {} }, { retries: 0 }).resolve(request(`${registry.host}/a:v1`), 1000),
    ).rejects.toThrow(/RegistryUnavailable.*[Hh]eaders? [Oo]verflow/);
  });

  it("a token", async () => {
    registry.intercept = (_request, response, url) => {
      if (url.pathname === "/token") {
        const more = () =>
          void (response.destroyed || (response.write("x".repeat(65_536)) && setImmediate(more)));
        response.on("drain", more);
        more();
      } else response.writeHead(401, { "www-authenticate": `Bearer realm="${registry.url}/token"` }).end();
      return true;
    };
    await expect(client().resolve(request(`${registry.host}/a:v1`), 1000)).rejects.toThrow(
      "longer than 1048576",
    );
  });
});

describe("nobody is sent to this machine's own addresses", () => {
  it.each([
    ["localhost", true],
    ["a.localhost", true],
    ["127.1.2.3", true],
    ["169.254.169.254", true],
    ["0.0.0.0", true],
    ["[::1]", true],
    ["[::]", true],
    ["::ffff:127.0.0.1", true],
    ["fe80::1", true],
    ["[fd00:ec2::254]", true],
    ["100.100.100.200", true],
    ["100.100.100.201", false],
    ["10.0.0.1", false],
    ["reg.test", false],
    ["localhost.evil.test", false],
  ])("%s is one: %s", (host, local) => expect(isLocalAddress(host)).toBe(local));

  it("not by a name that leads there either", async () => {
    const found = await new Promise((resolve) =>
      lookupElsewhere("localhost", {}, (error) => resolve(error?.code)),
    );
    expect(found).toBe("EACCES");
  });
});

describe("tokens", () => {
  it("are asked for again when their server is busy, as late as it asks", async () => {
    const { digest } = makeImage(registry, "a", "v1", ["x"]);
    let asked = 0;
    let began = 0;
    let waited = 0;
    registry.intercept = (asking, response, url) => {
      if (asking.headers.authorization === "Bearer good") return false;
      if (url.pathname !== "/token") {
        response.writeHead(401, { "www-authenticate": `Bearer realm="${registry.url}/token"` }).end();
      } else if (asked++ === 0) {
        began = performance.now();
        response.writeHead(429, { "retry-after": "1" }).end();
      } else {
        waited = performance.now() - began;
        response.end('{"token":"good"}');
      }
      return true;
    };
    const found = await client().resolve(request(`${registry.host}/a:v1`), 10_000);
    expect(found).toMatchObject({ digest });
    expect(waited).toBeGreaterThan(990);
    asked = 0;
    const hasty = client({ hosts: {} }, { maxRetryAfterMs: 500 });
    await expect(hasty.resolve(request(`${registry.host}/a:v1`), 10_000)).rejects.toEqual(
      coded("UNAVAILABLE", "answers 429; try again later"),
    );
    expect(asked).toBe(1);
  });

  /** A registry that takes only the newest token, and may have it expire. */
  function useTokens(): { given: number; expire(): void } {
    let good = "";
    const expire = () => {
      good = "";
    };
    const tokens = { given: 0, expire };
    registry.intercept = (asked, response, url) => {
      if (url.pathname === "/token") {
        good = `t${++tokens.given}`;
        response.end(JSON.stringify({ token: good, expires_in: 3600 }));
        return true;
      }
      if (good !== "" && asked.headers.authorization === `Bearer ${good}`) return false;
      response.writeHead(401, { "www-authenticate": `Bearer realm="${registry.url}/token"` }).end();
      return true;
    };
    return tokens;
  }

  it("that run out in the middle of a pull are fetched again, once for all its requests", async () => {
    const made = makeImage(registry, "a", "v1", ["one", "two", "three", "four"]);
    const tokens = useTokens();
    const used = client();
    const asked = request(`${registry.host}/a:v1`, auth);
    await used.resolve(asked, 10_000);
    expect(tokens.given).toBe(1);
    tokens.expire();
    await Promise.all(made.layers.map(({ bytes }) => readBlob(used, asked, bytes)));
    expect(tokens.given).toBe(2);
  });

  it("run out in the middle of a blob: the rest is fetched with a new one", async () => {
    registry.addBlob(content);
    const tokens = useTokens();
    const bare = registry.intercept;
    let broken = false;
    registry.intercept = async (asked, response, url) => {
      if (await bare(asked, response, url)) return true;
      if (broken || !url.pathname.includes("/blobs/")) return false;
      broken = true;
      tokens.expire();
      response.writeHead(200, { "content-length": content.length });
      response.write(content.subarray(0, 100_000), () => setTimeout(() => response.destroy(), 20));
      return true;
    };
    expect(await readBlob(client(), request(`${registry.host}/a`, auth), content)).toEqual(content);
    expect(tokens.given).toBe(2);
  });

  it("and credentials of one registry are not sent to another", async () => {
    makeImage(registry, "a", "v1", ["x"]);
    useTokens();
    const used = client();
    await used.resolve(request(`${registry.host}/a:v1`, { ...auth, serverAddress: registry.host }), 10_000);
    makeImage(other, "a", "v1", ["x"]);
    await used.resolve(request(`${other.host}/a:v1`, { ...auth, serverAddress: registry.host }), 10_000);
    expect(other.requests.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });
});

describe("limits on downloads", () => {
  it("hold for a registry and for all together", async () => {
    let open = 0;
    let most = 0;
    for (const server of [registry, other]) {
      server.intercept = (_request, response) => {
        open++;
        most = Math.max(most, open);
        response.writeHead(200, { "content-length": content.length });
        setTimeout(() => {
          open--;
          response.end(content);
        }, 20);
        return true;
      };
    }
    const hosts = { [registry.host]: { mirrors: [], maxDownloads: 2 } };
    const used = client({ hosts, maxDownloads: 3, maxDownloadsPerRegistry: 8 });
    const fetch = (server: RegistryServer) => readBlob(used, request(`${server.host}/a`), content);
    await Promise.all(Array.from({ length: 6 }, () => fetch(registry)));
    expect(most).toBe(2);
    most = 0;
    await Promise.all(Array.from({ length: 12 }, (_, n) => fetch(n % 2 === 0 ? registry : other)));
    expect(most).toBe(3);
  });

  it("let whoever waits go away, and lose no slot by it", async () => {
    const slots = new Slots(1);
    const give = await slots.take(new AbortController().signal);
    const leaving = new AbortController();
    const waiting = slots.take(leaving.signal);
    const next = slots.take(new AbortController().signal);
    leaving.abort(new Error("gone"));
    await expect(waiting).rejects.toThrow("gone");
    give();
    give();
    const giveNext = await next;
    expect(slots.isIdle).toBe(false);
    giveNext();
    expect(slots.isIdle).toBe(true);
    (await slots.take(new AbortController().signal))();
  });

  it("are given back when a transfer fails", async () => {
    const used = client({ hosts: {}, maxDownloads: 1 }, { retries: 0 });
    for (let n = 0; n < 3; n++) {
      await expect(readBlob(used, request(`${registry.host}/a`), content)).rejects.toThrow("404");
    }
    registry.blobs.set(sha256(content), content);
    await readBlob(used, request(`${registry.host}/a`), content);
  });
});
