// Connections into a network namespace: from a thread that enters it, without a process there.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { freePort, linksIn, serveInside, stopProcess, threadNamespaces } from "./host.ts";
import { loadNetnsKernel } from "./native.ts";

const kernel = loadNetnsKernel();
const TIMEOUT_MS = 2000;
let root: string;
let netns: string;
const children: ChildProcess[] = [];
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "berth-dial-"));
  netns = join(root, "netns");
  await kernel.createNetns(netns);
  writeFileSync(join(root, "index.html"), "inside\n");
});
afterEach(async () => {
  for (const child of children.splice(0)) await stopProcess(child);
  await kernel.removeNetns(netns);
  rmSync(root, { recursive: true });
});

/** Only the kinds that a dial makes: the test runner opens and closes others meanwhile. */
const descriptors = () => linksIn("/proc/self/fd").filter((link) => /^(socket|net):/.test(link)).length;

async function get(fd: number): Promise<string> {
  const socket = new Socket({ fd, readable: true, writable: true });
  socket.end("GET / HTTP/1.0\r\n\r\n");
  let text = "";
  for await (const chunk of socket) text += chunk;
  return text;
}

test("a listener in the namespace is reached, and the host's is not", async () => {
  children.push(serveInside(netns, root));
  const fd = await vi.waitFor(() => kernel.dialLoopback(netns, 80, TIMEOUT_MS), { timeout: 10_000 });
  expect(await get(fd)).toContain("inside");
  const port = await freePort();
  const server = createServer().listen(port, "127.0.0.1");
  await once(server, "listening");
  await expect(kernel.dialLoopback(netns, port, TIMEOUT_MS)).rejects.toMatchObject({
    step: "connect",
    errno: "ECONNREFUSED",
  });
  await close(server);
  // The answer comes from a thread that then ends: it may be on its way out.
  const own = readlinkSync("/proc/self/ns/net");
  await expect.poll(() => new Set(threadNamespaces())).toEqual(new Set([own]));
});

test("::1 is tried where 127.0.0.1 refuses", async () => {
  const script = [
    "import socket",
    "s = socket.socket(socket.AF_INET6)",
    "s.bind(('::1', 7))",
    "s.listen()",
    "s.accept()[0].send(b'six')",
  ].join("\n");
  children.push(spawn("nsenter", [`--net=${netns}`, "python3", "-c", script], { stdio: "ignore" }));
  const fd = await vi.waitFor(() => kernel.dialLoopback(netns, 7, TIMEOUT_MS), { timeout: 10_000 });
  const socket = new Socket({ fd, readable: true, writable: true });
  const [chunk] = await once(socket, "data");
  expect(String(chunk)).toBe("six");
  socket.destroy();
});

test("without a namespace it is the host's loopback", async () => {
  const server = createServer((socket) => socket.end("host")).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const fd = await kernel.dialLoopback("", port, TIMEOUT_MS);
  const socket = new Socket({ fd, readable: true, writable: true });
  const [chunk] = await once(socket, "data");
  expect(String(chunk)).toBe("host");
  socket.destroy();
  await close(server);
});

test("a listener that takes nothing any more does not hold the caller for ever", async () => {
  // A queue of one, never accepted from: the kernel drops what comes on top.
  const script = "import socket,time\ns=socket.socket();s.bind(('127.0.0.1',9));s.listen(0);time.sleep(60)";
  children.push(spawn("nsenter", [`--net=${netns}`, "python3", "-c", script], { stdio: "ignore" }));
  const sockets = [
    await vi.waitFor(() => kernel.dialLoopback(netns, 9, TIMEOUT_MS), { timeout: 10_000 }),
  ].map((fd) => new Socket({ fd }));
  await expect(kernel.dialLoopback(netns, 9, 200)).rejects.toMatchObject({ errno: "ETIMEDOUT" });
  for (const socket of sockets) socket.destroy();
});

test("failures leave no descriptor and name the namespace", async () => {
  await kernel.dialLoopback(netns, 1, TIMEOUT_MS).catch(() => {});
  const before = descriptors();
  for (let round = 0; round < 50; round++) await kernel.dialLoopback(netns, 1, TIMEOUT_MS).catch(() => {});
  await expect.poll(descriptors).toBe(before);
  const missing = join(root, "missing");
  await expect(kernel.dialLoopback(missing, 1, TIMEOUT_MS)).rejects.toMatchObject({
    step: "open",
    errno: "ENOENT",
    path: missing,
  });
});

async function close(server: Server): Promise<void> {
  server.close();
  await once(server, "close");
}
