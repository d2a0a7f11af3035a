// berth exec -d and berth port-forward, which need no kubelet.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { NGINX_GREETING } from "../../images/recipes.ts";
import { BUSYBOX, NGINX, Stage } from "../support/stage.ts";

const BERTH = join(import.meta.dirname, "../../../out/berth.cjs");

let stage: Stage;
let pod: string;
let shell: string;
beforeAll(async () => {
  stage = await Stage.make([BUSYBOX, NGINX]);
  pod = await stage.runPod("cli");
  shell = await stage.run(pod, "shell", BUSYBOX, ["sleep", "100000"]);
  await stage.run(pod, "nginx", NGINX, []);
});
afterAll(() => stage.remove());

function berth(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const whole = [BERTH, "-H", stage.daemon.scratch.socket, ...args];
  return new Promise((resolve) => {
    execFile(process.execPath, whole, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, err });
    });
  });
}

const running = async (text: string) => (await stage.exec(shell, "ps")).out.includes(text);

test("exec -d leaves the command alone, output and all, and the daemon's end does not end it", async () => {
  const flood = "while :; do echo flood; done & echo $! $$ > /tmp/pids; exec sleep 7531";
  expect(await berth("exec", "-d", shell, "sh", "-c", flood)).toEqual({ code: 0, out: "", err: "" });
  await expect.poll(() => running("sleep 7531")).toBe(true);
  await stage.daemon.restart();
  expect(await running("sleep 7531")).toBe(true);
  expect((await stage.exec(shell, "sh", "-c", "kill $(cat /tmp/pids)")).code).toBe(0);
  await expect.poll(() => running("sleep 7531")).toBe(false);
});

test("exec -d says at once what cannot be executed", async () => {
  const ran = await berth("exec", "-d", shell, "/no/such/thing");
  expect(ran.code).toBe(127);
  expect(ran.err).toContain("/no/such/thing");
});

test("run loses nothing of a command that ends at once", async () => {
  for (let n = 0; n < 30; n++) {
    expect(await berth("run", "--rm", BUSYBOX, "echo", `${n}`)).toEqual({ code: 0, out: `${n}\n`, err: "" });
  }
});

test("port-forward reaches the pod's loopback, and goes on after a refused connection", async () => {
  const args = [BERTH, "-H", stage.daemon.scratch.socket, "port-forward", shell, ":80", ":81"];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  let [out, err] = ["", ""];
  child.stdout.on("data", (chunk) => {
    out += chunk;
  });
  child.stderr.on("data", (chunk) => {
    err += chunk;
  });
  await expect.poll(() => out).toMatch(/Forwarding from 127\.0\.0\.1:\d+ -> 80\nForwarding from .* -> 81\n/);
  const port = (remote: number) => Number(new RegExp(`:(\\d+) -> ${remote}\n`).exec(out)?.[1]);
  const refused = connect(port(81), "127.0.0.1").resume();
  await once(refused, "close");
  await expect.poll(() => err).toContain("nothing listens");
  const get = async () => await (await fetch(`http://127.0.0.1:${port(80)}/`)).text();
  expect(await Promise.all(Array.from({ length: 20 }, get))).toEqual(Array(20).fill(NGINX_GREETING));
  child.kill("SIGINT");
  expect((await once(child, "exit"))[0]).toBe(0);
  expect((await berth("port-forward", "nobody", "80")).err).toContain("nobody");
});
