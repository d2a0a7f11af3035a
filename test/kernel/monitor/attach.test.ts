// Streams of a container's first process.

import { describe, expect, test } from "vitest";
import { collect, usePods } from "./pod.ts";
import { memoryOf, sleep, ticksOf, until } from "./processes.ts";

const startPod = usePods();
const MEGABYTE = 1024 * 1024;

test("attached before the start, no output is lost", async () => {
  const pod = await startPod();
  for (let round = 0; round < 20; round++) {
    const { stdout, exitCode } = await pod.run(["spew", "100000"]);
    expect([exitCode, stdout.length]).toEqual([0, 100_000]);
  }
});

test("two readers get the same", async () => {
  const pod = await startPod();
  const container = await pod.prepare(["spew", String(MEGABYTE)]);
  const sessions = [1, 2].map(() => pod.monitor.attach(container.id, { stdin: false }));
  const outcomes = sessions.map(collect);
  await Promise.all(sessions.map((session) => session.started));
  await pod.monitor.start(container.id);
  const [first, second] = await Promise.all(outcomes);
  expect(first?.stdout.length).toBe(MEGABYTE);
  expect(second?.stdout.equals(first?.stdout as Buffer)).toBe(true);
});

describe("a reader that does not read", () => {
  async function startUnread(words: readonly string[]) {
    const pod = await startPod();
    const container = await pod.prepare(["spew", String(64 * MEGABYTE), ...words], { log: "c.log" });
    const session = pod.monitor.attach(container.id, { stdin: false });
    await session.started;
    session.pause();
    await pod.monitor.start(container.id);
    await sleep(200);
    return { pod, container, session };
  }

  test("costs the monitor little memory, and nothing is lost", async () => {
    const { pod, container, session } = await startUnread([]);
    expect(memoryOf(pod.process.pid)).toBeLessThan(8 * 1024);
    expect(pod.exits.has(container.id)).toBe(false);
    let bytes = 0;
    session.onStdout = (chunk) => {
      bytes += chunk.length;
    };
    session.onStderr = () => {};
    session.resume();
    expect(await session.exited).toEqual({ exitCode: 0, signal: 0 });
    expect(bytes).toBe(64 * MEGABYTE);
  });

  test("costs no processor time when the other stream has ended", async () => {
    const { pod, session } = await startUnread(["alone"]);
    const before = ticksOf(pod.process.pid);
    await sleep(300);
    expect(ticksOf(pod.process.pid) - before).toBeLessThan(10);
    session.close();
  });

  test("lets the process go on when it detaches", async () => {
    const { pod, container, session } = await startUnread([]);
    session.close();
    expect(await pod.exitOf(container.id)).toMatchObject({ exitCode: 0 });
  });

  test("does not keep the container from ending", async () => {
    const { pod, container } = await startUnread([]);
    await pod.monitor.forget(container.id);
    expect(pod.exits.get(container.id)).toMatchObject({ signal: 9 });
  });
});

describe("input", () => {
  test("with stdin_once it ends when the client detaches", async () => {
    const pod = await startPod();
    const container = await pod.start(["cat-stdin"], {
      log: "c.log",
      container: { stdin: true, stdinOnce: true },
    });
    // Prepared later, it must not hold the input of the first one open.
    await pod.prepare(["exit", "0"]);
    const session = pod.monitor.attach(container.id, { stdin: true });
    await session.started;
    await pod.prepare(["exit", "0"]);
    session.writeStdin(Buffer.from("last words"));
    session.close();
    expect(await pod.exitOf(container.id)).toMatchObject({ exitCode: 0 });
  });

  test("without it the input stays for the next client", async () => {
    const pod = await startPod();
    const container = await pod.start(["cat-stdin"], { container: { stdin: true } });
    for (const word of ["first", "second"]) {
      const session = pod.monitor.attach(container.id, { stdin: true });
      let said = "";
      session.onStdout = (chunk) => {
        said += chunk.toString();
      };
      session.onStderr = () => {};
      await session.started;
      session.writeStdin(Buffer.from(word));
      await until(() => said === word);
      session.closeStdin();
      session.close();
    }
    expect(pod.exits.size).toBe(0);
  });

  test("a reader without input cannot write, and its leaving ends nothing", async () => {
    const pod = await startPod();
    const container = await pod.start(["cat-stdin"], { container: { stdin: true, stdinOnce: true } });
    const session = pod.monitor.attach(container.id, { stdin: false });
    await session.started;
    session.writeStdin(Buffer.from("ignored"));
    session.closeStdin();
    session.close();
    await sleep(50);
    expect(pod.exits.size).toBe(0);
    const writer = pod.monitor.attach(container.id, { stdin: true });
    const outcome = collect(writer);
    writer.writeStdin(Buffer.from("heard"));
    writer.closeStdin();
    expect((await outcome).stdout.toString()).toBe("heard");
  });
});

test("a terminal: size and output", async () => {
  const pod = await startPod();
  const container = await pod.prepare(["winsize"], { container: { tty: true, stdin: true }, log: "c.log" });
  const session = pod.monitor.attach(container.id, { stdin: true });
  let said = "";
  session.onStdout = (chunk) => {
    said += chunk.toString();
  };
  session.onStderr = () => {};
  await session.started;
  await pod.monitor.resize(container.id, 11, 22);
  await pod.monitor.start(container.id);
  await until(() => said.includes("winsize: 11 22"));
  session.resize(33, 44);
  await until(() => said.includes("winsize: 33 44"));
  session.writeStdin(Buffer.from("q\n"));
  expect(await session.exited).toEqual({ exitCode: 0, signal: 0 });
});

test("unknown and exited containers refuse", async () => {
  const pod = await startPod();
  await expect(pod.monitor.attach("none", { stdin: false }).exited).rejects.toMatchObject({ errno: "ESRCH" });
  const { id } = await pod.run(["exit", "0"]);
  await expect(pod.monitor.attach(id, { stdin: false }).exited).rejects.toMatchObject({ errno: "ESRCH" });
});
