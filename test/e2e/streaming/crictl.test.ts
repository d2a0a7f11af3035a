// exec, attach and port-forward as an administrator does them: the real crictl over each of its transports.

import { createHash, randomBytes } from "node:crypto";
import { request } from "node:http";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { NamespaceMode } from "../../../src/gen/runtime/v1/api.ts";
import { NGINX_GREETING } from "../../images/recipes.ts";
import type { Daemon } from "../daemon.ts";
import { CrictlProcess } from "../support/crictl-process.ts";
import { BUSYBOX, NGINX, Stage } from "../support/stage.ts";

const TRANSPORTS = ["spdy", "websocket"];

let stage: Stage;
let daemon: Daemon;
let pod: string;
let container: string;
beforeAll(async () => {
  stage = await Stage.make([BUSYBOX, NGINX]);
  daemon = stage.daemon;
  pod = await stage.runPod("streams");
  container = await stage.run(pod, "shell", BUSYBOX, ["sleep", "100000"]);
});
afterAll(() => stage.remove());

function crictl(args: string[], options: { atTerminal?: boolean } = {}): CrictlProcess {
  return new CrictlProcess(daemon.scratch, args, options);
}

const hash = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

describe.each(TRANSPORTS)("over %s", (transport) => {
  const exec = (...args: string[]) => crictl(["exec", "--transport", transport, ...args]);

  test("exec tells stdout, stderr and the exit code apart", async () => {
    const ran = await exec(container, "sh", "-c", "echo out; echo err >&2; exit 7").finish();
    expect(ran.stdout.toString()).toBe("out\n");
    expect(ran.stderr).toContain("err\n");
    expect(ran.stderr).toContain("command terminated with exit code 7");
    expect(ran.code).not.toBe(0);
    const fine = await exec(container, "true").finish();
    expect({ code: fine.code, stderr: fine.stderr }).toEqual({ code: 0, stderr: "" });
  });

  test("a command that is not there is told by name", async () => {
    const ran = await exec(container, "/no/such/thing").finish();
    expect(ran.code).not.toBe(0);
    expect(ran.stderr).toContain("/no/such/thing");
  });

  test("the end of stdin reaches the process, and what it wrote comes back whole", async () => {
    const bytes = randomBytes(24 * 1024 * 1024);
    const running = exec("-i", container, "cat");
    running.write(bytes);
    const ran = await running.finish();
    expect(ran.code, ran.stderr).toBe(0);
    expect(ran.stdout.length).toBe(bytes.length);
    expect(hash(ran.stdout)).toBe(hash(bytes));
  });

  test("a process that ends is not held by a client that keeps its stdin open", async () => {
    const running = crictl(["exec", "--transport", transport, "-it", container, "sh", "-c", "echo done"], {
      atTerminal: true,
    });
    expect(await running.ended).toBe(0);
    expect(running.stdout.toString()).toContain("done");
    running.child.stdin?.end();
  });

  test("a terminal has the client's size, echoes, and gives the exit code", async () => {
    const running = crictl(["exec", "--transport", transport, "-it", container, "sh"], { atTerminal: true });
    await expect.poll(() => running.stdout.toString()).toContain("#");
    running.write("stty size\n");
    await expect.poll(() => running.stdout.toString()).toContain("33 77");
    running.write("test -t 2 && echo it is a terminal\n");
    await expect.poll(() => running.stdout.toString()).toContain("it is a terminal\r\n");
    running.write("exit 5\n");
    expect(await running.ended).not.toBe(0);
    expect(running.stdout.toString()).toContain("exit code 5");
  });

  test("a client that is killed takes its process along", async () => {
    const running = exec("-i", container, "sh", "-c", "echo $$; exec sleep 4242");
    await expect.poll(() => running.stdout.toString()).toMatch(/\d/);
    const alive = async () => (await stage.exec(container, "ps")).out.includes("sleep 4242");
    await expect.poll(alive).toBe(true);
    running.child.kill("SIGKILL");
    await expect.poll(alive).toBe(false);
  });

  test("several attach at once, the log goes on, and leaving does no harm", async () => {
    const name = `attached-${transport}`;
    const id = await stage.run(
      pod,
      name,
      BUSYBOX,
      ["sh", "-c", "while read line; do echo got $line; done; exit 3"],
      {
        stdin: true,
      },
    );
    const attach = () => crictl(["attach", "--transport", transport, "-i", id]);
    const [first, second] = [attach(), attach()];
    // Attaching is done when what one of them types reaches both.
    await expect
      .poll(async () => {
        first.write("a\n");
        return [first, second].every((one) => one.stdout.includes("got a"));
      })
      .toBe(true);
    second.write("b\n");
    await expect.poll(() => first.stdout.toString()).toContain("got b");
    second.child.kill("SIGKILL");
    first.write("c\n");
    await expect.poll(() => first.stdout.toString()).toContain("got c");
    // Some of what was typed while they attached may come late.
    expect(stage.output("streams", name)).toMatch(/got b\n(?:got a\n)*got c\n/);
    first.child.kill("SIGKILL");
    await first.ended;
    expect((await stage.status(id)).state).toBe(1);
    await daemon.ask("removeContainer", { containerId: id });
  });

  test("stdin_once ends the container's input with the first client's", async () => {
    const name = `once-${transport}`;
    const id = await stage.run(pod, name, BUSYBOX, ["sh", "-c", "cat; exit 4"], {
      stdin: true,
      stdinOnce: true,
    });
    const attached = crictl(["attach", "--transport", transport, "-i", id]);
    await expect
      .poll(() => {
        attached.write("x");
        return attached.stdout.toString();
      })
      .toContain("x");
    const ran = await attached.finish();
    expect(ran.code, ran.stderr).toBe(0);
    expect((await stage.exited(id)).exitCode).toBe(4);
    await daemon.ask("removeContainer", { containerId: id });
  });

  test("ports are forwarded into the pod, and one that nobody listens on harms no other", async () => {
    const web = await stage.runPod(`web-${transport}`);
    await stage.run(web, "nginx", NGINX, []);
    const forward = crictl(["port-forward", "--transport", transport, web, ":80", ":81"]);
    await expect.poll(() => forward.stdout.toString().match(/Forwarding from 127/g)?.length).toBe(2);
    const local = (port: number) =>
      Number(new RegExp(`127.0.0.1:(\\d+) -> ${port}`).exec(forward.stdout.toString())?.[1]);
    await expect.poll(() => get(local(80))).toBe(NGINX_GREETING);
    const many = await Promise.all(Array.from({ length: 40 }, () => get(local(80))));
    expect(new Set(many)).toEqual(new Set([NGINX_GREETING]));
    expect(await isClosedAtOnce(local(81))).toBe(true);
    await expect.poll(() => forward.stderr).toContain("connection refused");
    forward.child.kill("SIGTERM");
    await forward.ended;
    await stage.removePod(web);
  });
});

test("ports of a host-network pod are those of the host", async () => {
  const namespaces = { network: NamespaceMode.NODE };
  const web = await stage.runPod("hostnet", { linux: { securityContext: { namespaceOptions: namespaces } } });
  const forward = crictl(["port-forward", web, `:${stage.registry.host.split(":")[1]}`]);
  await expect.poll(() => forward.stdout.toString()).toMatch(/127.0.0.1:\d+ ->/);
  const port = Number(/127.0.0.1:(\d+) ->/.exec(forward.stdout.toString())?.[1]);
  await expect.poll(() => get(port, "/v2/")).toBe("{}");
  forward.child.kill("SIGTERM");
  await forward.ended;
  await stage.removePod(web);
});

function get(port: number, path = "/"): Promise<string> {
  return new Promise((resolve) => {
    const asked = request({ port, path, agent: false }, (response) => {
      let text = "";
      response.on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () => resolve(text));
    });
    asked.on("error", (error) => resolve(String(error)));
    asked.end();
  });
}

function isClosedAtOnce(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.on("close", () => resolve(true));
    socket.resume();
  });
}
