// The probe itself, on the host: what it tells of a container is only worth as much as this.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";

const program = join(import.meta.dirname, "../../out/native/Release/probe");
const folder = mkdtempSync("/tmp/berth-probe-");
afterAll(() => rmSync(folder, { recursive: true }));

function probe(args: readonly string[], input = "") {
  return spawnSync(program, args, { encoding: "utf8", input, env: { WORD: "va\u00fcl" } });
}

test("report --json agrees with what Node sees", () => {
  const report = JSON.parse(probe(["report", "--json"]).stdout);
  expect(report.pid1).toBe(false);
  expect(report.ppid).toBe(process.pid);
  expect(report.uid).toBe(process.getuid?.());
  // Not process.getgroups(), which adds the effective group.
  const groups = /^Groups:\t(.*)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "";
  expect(report.groups).toEqual(groups.split(" ").filter((group) => group !== ""));
  expect(`net:[${report.namespace_net}]`).toBe(readlinkSync("/proc/self/ns/net"));
  expect(report.working_directory).toBe(process.cwd());
  // Bytes, not characters.
  expect(report.environment).toEqual(["WORD=va\u00c3\u00bcl"]);
  expect(report.mounts.length).toBe(readFileSync("/proc/self/mounts", "utf8").trim().split("\n").length);
});

test("report prints the same keys as lines", () => {
  const keys = new Set(
    probe(["report"])
      .stdout.trim()
      .split("\n")
      .map((line) => line.split(": ")[0]),
  );
  const report = JSON.parse(probe(["--json"]).stdout);
  for (const [key, value] of Object.entries(report)) {
    if (!Array.isArray(value) || value.length > 0) expect(keys).toContain(key);
  }
});

test.each([0, 1, 127, 255])("exit %i", (code) => {
  expect(probe(["exit", String(code)]).status).toBe(code);
});

test("signal ends it by that signal", () => {
  expect(probe(["signal", "9"]).signal).toBe("SIGKILL");
});

test("spew writes as many bytes as asked, in numbered lines", () => {
  const { stdout } = probe(["spew", "200"]);
  expect(stdout).toHaveLength(200);
  expect(stdout.split("\n").map((line) => line.slice(0, 12))).toEqual([
    "000000000000",
    "000000000001",
    "000000000002",
    "00000000",
  ]);
  expect(probe(["spew", "64", "stderr"]).stderr).toHaveLength(64);
});

test("cat-stdin, write, read and stat", () => {
  const file = join(folder, "file");
  expect(probe(["cat-stdin"], "through").stdout).toBe("through");
  expect(probe(["write", file, "text"]).stdout).toBe("write: ok\n");
  expect(probe(["read", file]).stdout).toBe("text");
  expect(probe(["stat", file]).stdout).toBe(`${file} 100644 0 0 4\n`);
  const missing = probe(["read", join(folder, "missing")]);
  expect([missing.status, missing.stdout]).toEqual([1, "read: ENOENT\n"]);
});

test("fork-bomb-lite leaves orphans and says so", () => {
  expect(probe(["fork-bomb-lite", "3"]).stdout).toBe("orphans: 3\n");
});

test("try-syscall tells what is allowed from what is not", () => {
  expect(probe(["try-syscall", "getpid", "setns"]).stdout).toBe("getpid: ok\nsetns: EBADF\n");
  expect(probe(["try-syscall", "nonsense"]).status).toBe(64);
});

test("an unknown word prints the usage", () => {
  const { status, stderr } = probe(["nonsense"]);
  expect(status).toBe(64);
  expect(stderr).toContain("probe try-syscall");
});
