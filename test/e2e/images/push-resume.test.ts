// Uploads to docker-registry over connections that break.

import { createHash, randomBytes } from "node:crypto";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { Readable } from "node:stream";
import { afterEach, beforeEach, expect, it } from "vitest";
import { RegistryClient } from "../../../src/registry/client.ts";
import { PushTarget } from "../../../src/registry/push-target.ts";
import { defaultTimings } from "../../../src/registry/transport.ts";
import { startRegistry, type TestRegistry } from "../../images/registry.ts";

const MiB = 1024 * 1024;
const blob = randomBytes(4 * MiB + 12345);
const digest = `sha256:${createHash("sha256").update(blob).digest("hex")}`;

let registry: TestRegistry;
let way: Server;
let client: RegistryClient;
/** Beginnings of the requests that came through. */
let requests: string[];
/** Whether the connection breaks instead of carrying this piece of the client's. */
let breaks: (piece: Buffer) => boolean;
const open = new Set<Socket>();

beforeEach(async () => {
  registry = await startRegistry();
  requests = [];
  breaks = () => false;
  way = createServer((near) => {
    const far = connect(Number(registry.host.split(":")[1]), "127.0.0.1");
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        open.delete(socket);
        other.destroy();
      });
    }
    near.on("data", (piece) => {
      const [, begin] = /^((?:GET|HEAD|POST|PATCH|PUT) )/.exec(piece.toString("latin1", 0, 8)) ?? [];
      if (begin !== undefined) requests.push(begin.trim());
      if (breaks(piece)) near.destroy();
      else far.write(piece);
    });
    far.pipe(near);
  });
  await new Promise<void>((resolve) => way.listen(0, "127.0.0.1", resolve));
  client = new RegistryClient({ hosts: {} });
});
afterEach(async () => {
  await client.close();
  for (const socket of open) socket.destroy();
  await new Promise((resolve) => way.close(resolve));
  await registry.stop();
});

async function upload(): Promise<void> {
  const host = `127.0.0.1:${(way.address() as AddressInfo).port}`;
  const [endpoint] = await client.rules.endpoints(host, "push");
  const asker = { repository: "a/b", auth: undefined, signal: new AbortController().signal };
  const timings = { ...defaultTimings, retryBaseMs: 10 };
  const target = new PushTarget(client.requester, endpoint!, asker, timings, MiB);
  const source = (first: number, end: number) => Readable.from([blob.subarray(first, end)]);
  const descriptor = { mediaType: "application/x", digest, size: blob.length };
  await target.uploadBlob(descriptor, { open: source });
  const stored = await fetch(`http://${registry.host}/v2/a/b/blobs/${digest}`);
  expect(Buffer.from(await stored.arrayBuffer()).equals(blob)).toBe(true);
}

const count = (method: string) => requests.filter((one) => one === method).length;

it("goes on with the chunk whose connection broke before it began", async () => {
  breaks = () => requests.at(-1) === "PATCH" && count("PATCH") === 3;
  await upload();
  expect(count("POST")).toBe(1);
  expect(count("GET")).toBe(1);
  // Five chunks, one of them sent twice.
  expect(count("PATCH")).toBe(6);
});

it("begins anew when this registry loses an upload that broke in the middle of a chunk", async () => {
  let bytes = 0;
  breaks = (piece) => {
    bytes += piece.length;
    return bytes > 2.5 * MiB && requests.at(-1) === "PATCH" && count("POST") === 1;
  };
  await upload();
  expect(count("POST")).toBe(2);
  expect(count("PATCH")).toBe(3 + 5);
});

it("sends nothing again when the end had arrived and only its answer was lost", async () => {
  way.on("connection", (near: Socket) => {
    near.on("data", async () => {
      if (requests.at(-1) !== "PUT") return;
      // What the registry answers does not come through.
      for (const socket of open) socket.unpipe(near);
      const has = async () => (await fetch(`http://${registry.host}/v2/a/b/blobs/${digest}`)).ok;
      await expect.poll(has).toBe(true);
      near.destroy();
    });
  });
  await upload();
  expect(count("POST")).toBe(1);
  expect(count("PATCH")).toBe(5);
  expect(count("PUT")).toBe(1);
});
