import { beforeEach, describe, expect, it } from "vitest";
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
      coded("UNAVAILABLE", "429; try again in 3600 s, as it asks"),
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
      coded("UNAVAILABLE", "fewer than 30720 bytes"),
    );
  });

  it("does not count the time its reader takes", async () => {
    registry.addBlob(content);
    const impatient = client({ hosts: {} }, { stallMs: 50, retries: 0 });
    const descriptor = { mediaType: "x/y", digest: sha256(content), size: content.length };
    let bytes = 0;
    await impatient.pour(request(`${registry.host}/a`), descriptor, async (piece) => {
      await new Promise((resolve) => setTimeout(resolve, 30));
      bytes += piece.byteLength;
    });
    expect(bytes).toBe(content.length);
  });

  it.each([
    ["at once", () => true],
    ["later", () => false],
  ])("asks nobody again when its taker fails %s", async (_when, atOnce) => {
    registry.addBlob(content);
    other.addBlob(content);
    const config = { hosts: { [other.host]: { mirrors: [{ url: registry.url }], plainHttp: true } } };
    const descriptor = { mediaType: "x/y", digest: sha256(content), size: content.length };
    const full = new Error("the disk is full");
    const take = () => {
      if (atOnce()) throw full;
      return Promise.reject(full);
    };
    await expect(client(config).pour(request(`${other.host}/a`), descriptor, take)).rejects.toBe(full);
    expect([...registry.requests, ...other.requests]).toHaveLength(1);
  });

  it("ends when the last piece is taken", async () => {
    registry.addBlob(content);
    const descriptor = { mediaType: "x/y", digest: sha256(content), size: content.length };
    let taken = 0;
    const take = async (piece: Uint8Array) => {
      await new Promise((resolve) => setTimeout(resolve, 10));
      taken += piece.byteLength;
    };
    await client().pour(request(`${registry.host}/a`), descriptor, take);
    expect(taken).toBe(content.length);
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
