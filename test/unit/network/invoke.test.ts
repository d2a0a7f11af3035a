import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { invokePlugin } from "../../../src/network/invoke.ts";
import { type Fixture, makeFixture } from "./fixture.ts";

let fixture: Fixture;
beforeEach(() => {
  fixture = makeFixture();
});
afterEach(() => fixture.close());

function invoke(plugin: string, timeoutMs = 30_000): Promise<string> {
  return invokePlugin({
    command: "ADD",
    plugin,
    binDirs: ["/nonexistent", fixture.binDir],
    environment: { CNI_CONTAINERID: "id", CNI_NETNS: "/n", CNI_IFNAME: "eth0", CNI_ARGS: "IgnoreUnknown=1" },
    input: '{"name":"n"}',
    timeoutMs,
    subject: 'network "n" of pod "default/web"',
  });
}

test("a plugin gets its input, the CNI variables, PATH and nothing else", async () => {
  fixture.plugin("p", "echo out");
  expect(await invoke("p")).toBe("out\n");
  expect(fixture.input("ADD", "p")).toEqual({ name: "n" });
  const { PWD, _, SHLVL, OLDPWD, ...environment } = fixture.environment("ADD", "p");
  expect(PWD).toBe("/");
  expect(environment).toEqual({
    CNI_COMMAND: "ADD",
    CNI_CONTAINERID: "id",
    CNI_NETNS: "/n",
    CNI_IFNAME: "eth0",
    CNI_ARGS: "IgnoreUnknown=1",
    CNI_PATH: `/nonexistent:${fixture.binDir}`,
    PATH: process.env.PATH,
  });
});

test("an error object becomes a message with plugin, network, pod and command", async () => {
  fixture.plugin("p", `echo '{"code":7,"msg":"no subnet","details":"ranges"}'; echo warned >&2; exit 1`);
  await expect(invoke("p")).rejects.toMatchObject({
    code: "FAILED_PRECONDITION",
    message:
      'network "n" of pod "default/web": CNI ADD by plugin "p": no subnet: ranges (CNI error 7); ' +
      "it wrote to stderr: warned",
  });
});

test("other failures tell the status, what was printed and the end of stderr", async () => {
  fixture.plugin("p", "echo garbage; seq 1 20000 >&2; echo last words >&2; exit 3");
  const error = (await invoke("p").catch((caught: unknown) => caught)) as Error;
  expect(error.message).toContain("exit status 3, printed: garbage");
  expect(error.message.length).toBeLessThan(2000);
  fixture.plugin("k", "kill -9 $$");
  await expect(invoke("k")).rejects.toThrow("killed by SIGKILL");
});

test("a slow plugin is killed with its children", async () => {
  const pidFile = join(fixture.binDir, "pid");
  fixture.plugin("p", `sleep 300 & echo $! > ${pidFile}; wait`);
  await expect(invoke("p", 1500)).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
  const pid = readFileSync(pidFile, "utf8").trim();
  // Killed, whether or not somebody has reaped it yet.
  await vi.waitFor(() => expect(stateOf(pid)).toMatch(/^$|Z/), { timeout: 5000 });
});

function stateOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /, "")
      .slice(0, 1);
  } catch {
    return "";
  }
}

test("endless output is stopped", async () => {
  fixture.plugin("p", "exec yes");
  await expect(invoke("p")).rejects.toThrow("printed more than 1048576 bytes");
});

test("a process left behind with the output open does not hold the answer up", async () => {
  fixture.plugin("p", "sleep 5 & echo done");
  expect(await invoke("p", 4000)).toBe("done\n");
});

test("a plugin that reads no input is fine", async () => {
  writeFileSync(join(fixture.binDir, "p"), "#!/bin/sh\nexec <&-\necho ok\n", { mode: 0o755 });
  expect(await invoke("p")).toBe("ok\n");
});

test("a plugin that is missing, not executable or no program is named with the directories", async () => {
  writeFileSync(join(fixture.binDir, "plain"), "x", { mode: 0o644 });
  writeFileSync(join(fixture.binDir, "broken"), "#!/nonexistent/shell\n", { mode: 0o755 });
  await expect(invoke("plain")).rejects.toThrow(`no such plugin in "/nonexistent", "${fixture.binDir}"`);
  await expect(invoke("absent")).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
  await expect(invoke("../bin/plain")).rejects.toThrow("no such plugin");
  await expect(invoke("broken")).rejects.toThrow("ENOENT");
});
