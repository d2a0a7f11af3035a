import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { beforeEach, expect, it } from "vitest";
import { PushTarget } from "../../../src/registry/push-target.ts";
import { defaultTimings } from "../../../src/registry/transport.ts";
import { sha256 } from "../images/support/fake-layers.ts";
import { coded, request, useStage } from "./support/stage.ts";
import { UploadDesk } from "./support/upload-desk.ts";

const KiB = 1024;
const stage = useStage();
let desk: UploadDesk;
/** Three chunks: 32, 32 and 16 KiB. */
const blob = randomBytes(80 * KiB);
const digest = sha256(blob);

beforeEach(() => {
  desk = new UploadDesk(stage.registry);
});

async function upload(bytes = blob, retries = 2): Promise<number[]> {
  const client = stage.client(undefined, { retries });
  const { reference, auth, signal } = request(`${stage.registry.host}/a/b:v1`);
  const [endpoint] = await client.rules.endpoints(reference.host, "push");
  const timings = { ...defaultTimings, retryBaseMs: 1, retries };
  const asker = { repository: reference.repository, auth, signal };
  const target = new PushTarget(client.requester, endpoint!, asker, timings, 32 * KiB);
  const told: number[] = [];
  const descriptor = { mediaType: "application/x", digest: sha256(bytes), size: bytes.length };
  const open = (first: number, end: number) => Readable.from([bytes.subarray(first, end)]);
  await target.uploadBlob(descriptor, { open }, (has) => told.push(has / KiB));
  expect(stage.registry.blobs.get(descriptor.digest)?.equals(bytes)).toBe(true);
  return told;
}

const patches = () => desk.patches.map(({ first, end }) => `${first / KiB}-${end / KiB}`);

it("sends chunks, each to the location that the answer before it gave", async () => {
  expect(await upload()).toEqual([32, 64, 80]);
  expect(patches()).toEqual(["0-32", "32-64", "64-80"]);
  expect(await upload(Buffer.from("x"))).toHaveLength(1);
});

it("goes on in the middle of a chunk after the connection broke", async () => {
  desk.cutAfter = (n) => (n === 1 ? 20 * KiB : undefined);
  await upload();
  expect(patches()).toEqual(["0-32", "32-64", "52-80"]);
  expect(desk.begun).toBe(1);
});

it("goes on where the registry stopped, when it takes less of a chunk than was sent", async () => {
  desk.take = (n, bytes) => (n === 0 ? bytes.subarray(0, 5 * KiB) : bytes);
  await upload();
  expect(patches()).toEqual(["0-32", "5-37", "37-69", "69-80"]);
});

it("asks for its place when the registry answers 416, or took nothing", async () => {
  desk.take = (n, bytes) => (n === 1 ? Buffer.alloc(0) : bytes);
  let refused = false;
  desk.intercept = (asked, response) => {
    if (asked.method !== "PATCH" || desk.patches.length !== 3 || refused) return false;
    refused = true;
    asked.resume();
    response.writeHead(416, { "content-length": "0" }).end();
    return true;
  };
  await upload();
  expect(patches()).toEqual(["0-32", "32-64", "32-64", "64-80"]);
  expect(desk.begun).toBe(1);
});

it("waits for a registry that is away for a moment, without losing its place", async () => {
  desk.cutAfter = (n) => (n === 1 ? 20 * KiB : undefined);
  let busy = 2;
  desk.intercept = (asked, response) => {
    if (asked.method !== "GET" || busy-- <= 0) return false;
    response.writeHead(503, { "content-length": "0" }).end();
    return true;
  };
  await upload(blob, 4);
  expect(patches()).toEqual(["0-32", "32-64", "52-80"]);
});

it.each([404, 405])("begins anew when the registry forgot the upload (%d)", async (code) => {
  desk.cutAfter = (n) => (n === 1 ? 20 * KiB : undefined);
  desk.intercept = (asked, response) => {
    if (asked.method !== "GET") return false;
    response.writeHead(code, { "content-length": "0" }).end();
    return true;
  };
  expect(await upload()).toEqual([32, 32, 64, 80]);
  expect(patches()).toEqual(["0-32", "32-64", "0-32", "32-64", "64-80"]);
  expect(desk.begun).toBe(2);
});

it("is content when the end arrived and only its answer was lost", async () => {
  desk.intercept = (asked) => {
    if (asked.method !== "PUT") return false;
    desk.intercept = () => false;
    stage.registry.blobs.set(digest, blob);
    desk.forget();
    asked.socket.destroy();
    return true;
  };
  await upload();
  expect(desk.begun).toBe(1);
  expect(patches()).toHaveLength(3);
});

it("gives up a registry that forgets every upload after its first chunk", async () => {
  desk.cutAfter = (n) => (n % 2 === 1 ? 1 : undefined);
  desk.intercept = (asked, response) => {
    if (asked.method !== "GET") return false;
    response.writeHead(404, { "content-length": "0" }).end();
    return true;
  };
  await expect(upload()).rejects.toEqual(
    coded("UNAVAILABLE", `RegistryUnavailable: upload blob "${digest}"`),
  );
  expect(desk.begun).toBe(3);
});

it("does not believe in bytes that it never sent", async () => {
  desk.take = (_, bytes) => Buffer.concat([bytes, bytes]);
  await expect(upload()).rejects.toEqual(coded("UNKNOWN", "do not fit the upload"));
});
