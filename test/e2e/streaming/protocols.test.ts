// Every channel protocol with the libraries of kubectl (test/cri-tools/streams), TLS, slow readers, rude
// clients in numbers, and what is left behind of all that: nothing.

import { execFileSync, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Daemon } from "../daemon.ts";
import { monitorPids, processesOf } from "../support/leaks.ts";
import { BUSYBOX, NGINX, Stage } from "../support/stage.ts";

const V5 = "v5.channel.k8s.io";
const STREAMS = join(import.meta.dirname, "../../../out/tools/streams");
/** More by hand: BERTH_ABORTED=10000. */
const ABORTED = Number(process.env.BERTH_ABORTED ?? 1500);

/** Garbage is collected soon: memory that grows is memory that is kept. */
const SMALL_YOUNG_GENERATION = { NODE_OPTIONS: "--max-semi-space-size=2" };

let stage: Stage;
let daemon: Daemon;
let pod: string;
let container: string;
beforeAll(async () => {
  stage = await Stage.make([BUSYBOX, NGINX]);
  daemon = stage.daemon;
  await daemon.restart(SMALL_YOUNG_GENERATION);
  pod = await stage.runPod("protocols");
  container = await stage.run(pod, "shell", BUSYBOX, ["sleep", "100000"]);
});
afterAll(() => stage.remove());

interface Ran {
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

async function streams(args: string[], input?: Buffer): Promise<Ran> {
  const child = spawn(STREAMS, args, { stdio: "pipe" });
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString() };
}

async function execUrl(cmd: string[], changes: object = {}, of = daemon, id = container): Promise<string> {
  const request = { containerId: id, cmd, stdout: true, stderr: true, ...changes };
  return (await of.ask<{ url: string }>("exec", request)).url;
}

const hash = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const descriptors = () => readdirSync(`/proc/${daemon.pid}/fd`).length;

function residentKiB(pid: number): number {
  return Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1]);
}

/** What the daemon has open, once it has had time to close what ended. */
async function settledAt(most: number): Promise<void> {
  await expect.poll(descriptors, { timeout: 20_000 }).toBeLessThanOrEqual(most);
}

const PROTOCOLS: [string, string][] = [
  ...["v5.", "v4.", "v3.", "v2.", ""].map((name): [string, string] => ["spdy", `${name}channel.k8s.io`]),
  ["websocket", "v5.channel.k8s.io"],
  ["websocket", "v4.channel.k8s.io"],
];

describe.each(PROTOCOLS)("%s, %s", (transport, protocol) => {
  const exec = (url: string, flags: string[] = [], input?: Buffer) =>
    streams(["exec", "-transport", transport, "-protocol", protocol, ...flags, url], input);

  test("output, exit code and input", async () => {
    const failing = await exec(await execUrl(["sh", "-c", "echo out; echo err >&2; exit 3"]));
    // A client of version 1 that hears of a failure leaves at once, whatever else is on its way.
    const leaves = protocol === "channel.k8s.io" && failing.stderr.includes("exit code 3");
    if (!leaves) expect(failing.stdout.toString()).toBe("out\n");
    if (!leaves) expect(failing.stderr).toContain("err\n");
    // Before version 4 the code is in the text only, and clients of version 1 do not always wait for it.
    if (/v[45]/.test(protocol)) expect(failing.code).toBe(3);
    else if (/v[23]/.test(protocol)) expect(failing.stderr).toContain("command terminated with exit code 3");
    // Neither a WebSocket of version 4 nor a client of version 1 ends its input.
    const input = randomBytes(700_000);
    const endsInput = /v[235]/.test(protocol) || (transport === "spdy" && protocol.startsWith("v4"));
    const command = endsInput ? "cat" : `head -c ${input.length}`;
    const echoed = await exec(await execUrl(["sh", "-c", command], { stdin: true }), ["-stdin"], input);
    expect({ code: echoed.code, hash: hash(echoed.stdout), stderr: echoed.stderr }).toEqual({
      code: 0,
      hash: hash(input),
      stderr: "",
    });
  });
});

test("a client that reads slowly gets all of it, and the daemon keeps little of it", async () => {
  const size = 64 * 1024 * 1024;
  const url = await execUrl(["sh", "-c", `head -c ${size} /dev/zero; echo end`]);
  const before = residentKiB(daemon.pid);
  const child = spawn(STREAMS, ["exec", url], { stdio: ["ignore", "pipe", "ignore"] });
  const { stdout } = child;
  stdout.pause();
  // The pipes and sockets on the way are full after a moment; whatever is behind must wait.
  await sleep(1_500);
  expect(residentKiB(daemon.pid) - before).toBeLessThan(32 * 1024);
  let length = 0;
  let tail = "";
  for await (const chunk of stdout as AsyncIterable<Buffer>) {
    length += chunk.length;
    tail = chunk.toString("latin1").slice(-4);
  }
  expect({ length, tail }).toEqual({ length: size + 4, tail: "end\n" });
});

test("what a client sends to a process that does not read stays with the client", async () => {
  const before = residentKiB(daemon.pid);
  const url = await execUrl(["sleep", "4321"], { stdin: true });
  const child = spawn(STREAMS, ["exec", "-stdin", url], { stdio: ["pipe", "ignore", "ignore"] });
  child.stdin.on("error", () => {});
  const chunk = Buffer.alloc(1024 * 1024);
  let sent = 0;
  while (sent < 64 && child.stdin.write(chunk)) sent++;
  await sleep(1_000);
  expect(residentKiB(daemon.pid) - before).toBeLessThan(32 * 1024);
  const alive = async () => (await stage.exec(container, "ps")).out.includes("sleep 4321");
  await expect.poll(alive).toBe(true);
  child.kill("SIGKILL");
  // Nobody reads the connection: its end is noticed all the same.
  await expect.poll(alive, { timeout: 25_000, interval: 500 }).toBe(false);
});

test("URLs that nobody uses run out, and used ones are used up", async () => {
  const url = await execUrl(["true"]);
  expect((await streams(["exec", url])).code).toBe(0);
  const again = await streams(["exec", url]);
  expect({ code: again.code, isTold: /no such token|not found/i.test(again.stderr) }).toEqual({
    code: 125,
    isTold: true,
  });
  const request = { containerId: container, cmd: ["true"], stdout: true };
  const asked = await Promise.allSettled(Array.from({ length: 1100 }, () => daemon.ask("exec", request)));
  const refused = asked.filter((one) => one.status === "rejected");
  expect(refused.length).toBeGreaterThanOrEqual(100);
  // RESOURCE_EXHAUSTED
  expect(new Set(refused.map((one) => (one.reason as { code: number }).code))).toEqual(new Set([8]));
  // A restart forgets them; the pod does not mind.
  await daemon.restart(SMALL_YOUNG_GENERATION);
  expect((await streams(["exec", await execUrl(["echo", "again"])])).stdout.toString()).toBe("again\n");
});

test("clients that vanish leave no descriptor, session or process", async () => {
  const id = await stage.run(pod, "vanish", BUSYBOX, ["sh", "-c", "while :; do echo tick; sleep 0.1; done"]);
  const attachUrl = async () => {
    const request = { containerId: id, stdout: true, stderr: true };
    return (await daemon.ask<{ url: string }>("attach", request)).url;
  };
  const [monitor] = monitorPids(daemon.scratch);
  const open = () => [descriptors(), readdirSync(`/proc/${monitor}/fd`).length];
  const execs = () => processesOf(daemon.scratch, [daemon.pid]).filter((line) => /sleep 999/.test(line));
  const before = open();
  for (let round = 0; round < 3; round++) {
    const urls = [
      ...(await Promise.all(
        Array.from({ length: 8 }, () => execUrl(["sh", "-c", "echo up; sleep 999 & wait"])),
      )),
      ...(await Promise.all(Array.from({ length: 4 }, attachUrl))),
    ];
    const children = urls.map((url, index) =>
      spawn(STREAMS, ["exec", "-transport", index % 2 === 0 ? "spdy" : "websocket", "-protocol", V5, url]),
    );
    await Promise.all(children.map((child) => once(child.stdout, "data")));
    expect(execs().length).toBeGreaterThanOrEqual(8);
    for (const child of children) child.kill("SIGKILL");
  }
  // Connections of the test before may have been among those that were open.
  const settled = () => open().every((count, n) => count <= (before[n] as number));
  await expect.poll(settled, { timeout: 20_000 }).toBe(true);
  await expect.poll(execs).toEqual([]);
  await daemon.ask("removeContainer", { containerId: id });
});

test(`${ABORTED} aborted connections through one session`, { timeout: 120_000 + ABORTED * 50 }, async () => {
  const web = await stage.runPod("aborted");
  await stage.run(web, "nginx", NGINX, []);
  await expect.poll(async () => (await stage.exec(container, "true")).code).toBe(0);
  const forward = async (count: number) => {
    const { url } = await daemon.ask<{ url: string }>("portForward", { podSandboxId: web });
    const child = spawn(STREAMS, ["abort", "-count", String(count), url], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    let text = "";
    child.stdout.on("data", (chunk) => {
      text += chunk;
    });
    child.stderr.on("data", (chunk) => {
      text += chunk;
    });
    const ended = once(child, "close");
    // The session is still open, and has just served a whole connection.
    await expect.poll(() => text, { timeout: 60_000 + count * 50 }).toMatch(/aborted, then \d+ bytes/);
    return { child, ended };
  };
  // The daemon's heap and the pod's workers have their size after these.
  const warm = await forward(Math.ceil(ABORTED / 2));
  warm.child.stdin.end();
  await warm.ended;
  await sleep(500);
  const [before, memory] = [descriptors(), residentKiB(daemon.pid)];
  const { child, ended } = await forward(ABORTED);
  // The session itself, and nothing of its connections.
  await settledAt(before + 1);
  const grown = residentKiB(daemon.pid) - memory;
  child.stdin.end();
  await ended;
  await settledAt(before);
  const facts = { descriptors: [before, descriptors()], pssKiB: [memory, memory + grown] };
  console.log(`${ABORTED} aborted:`, JSON.stringify(facts));
  expect(grown).toBeLessThan(48 * 1024);
  await stage.removePod(web);
});

test("a daemon that stops tells its clients; execs end, attached containers go on", async () => {
  const id = await stage.run(pod, "attached", BUSYBOX, [
    "sh",
    "-c",
    "while :; do echo tick; sleep 0.1; done",
  ]);
  const child = spawn(STREAMS, ["exec", await execUrl(["sleep", "5432"])], { stdio: "pipe" });
  const request = { containerId: id, stdout: true, stderr: true };
  const { url } = await daemon.ask<{ url: string }>("attach", request);
  const attached = spawn(STREAMS, ["exec", url], { stdio: "pipe" });
  await once(attached.stdout, "data");
  attached.stdout.resume();
  let told = "";
  for (const one of [child, attached]) {
    one.stderr.on("data", (chunk) => {
      told += chunk;
    });
  }
  const alive = async () => (await stage.exec(container, "ps")).out.includes("sleep 5432");
  await expect.poll(alive).toBe(true);
  const ends = [child, attached].map((one) => once(one, "close"));
  expect(await daemon.stop()).toBe(0);
  expect((await Promise.all(ends)).map(([code]) => code)).toEqual([125, 125]);
  expect(told.match(/the container engine is stopping/g)).toHaveLength(2);
  await daemon.start();
  await expect.poll(alive).toBe(false);
  expect((await stage.status(id)).state).toBe(1);
  await daemon.ask("removeContainer", { containerId: id });
});

test("a daemon that is killed leaves no exec behind", async () => {
  const child = spawn(STREAMS, ["exec", await execUrl(["sleep", "6543"])], { stdio: "pipe" });
  const alive = async () => (await stage.exec(container, "ps")).out.includes("sleep 6543");
  await expect.poll(alive).toBe(true);
  const ended = once(child, "close");
  await daemon.restart();
  await ended;
  await expect.poll(alive).toBe(false);
});

test("with a certificate the URLs are https", async () => {
  const folder = mkdtempSync(join(tmpdir(), "berth-tls-"));
  const [certificate, key] = [join(folder, "crt"), join(folder, "key")];
  const request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  execFileSync("openssl", [...request, "-subj", "/CN=berth", "-keyout", key, "-out", certificate], {
    stdio: "pipe",
  });
  const toml = `[streaming]\ntls_certificate = "${certificate}"\ntls_key = "${key}"`;
  const secure = await Stage.make([BUSYBOX], [], {
    toml,
    mirrors: { "registry.k8s.io": `http://${stage.registry.host}` },
  });
  try {
    const secured = await secure.runPod("tls");
    const id = await secure.run(secured, "shell", BUSYBOX, ["sleep", "1000"]);
    for (const transport of ["spdy", "websocket"]) {
      const url = await execUrl(["echo", transport], {}, secure.daemon, id);
      expect(url).toMatch(/^https:/);
      const ran = await streams(["exec", "-transport", transport, url]);
      expect(ran.stderr).toBe("");
      expect(ran.stdout.toString()).toBe(`${transport}\n`);
    }
  } finally {
    await secure.remove();
    rmSync(folder, { recursive: true });
  }
  expect(existsSync(folder)).toBe(false);
});
