// Processes by PID and start time, and what the host tells of itself.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { release } from "node:os";
import { expect, test } from "vitest";
import { kernel, sleeper } from "./fixture.ts";

const SIGKILL = 9;

test("a process is signalled only with its own start time", async () => {
  const { pid, ended } = await sleeper();
  const startTime = kernel.processStartTime(pid)!;
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  expect(startTime).toBe(Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]));
  expect(kernel.signalProcess({ pid, startTime: startTime + 1 }, SIGKILL)).toBe(false);
  expect(kernel.signalProcess({ pid, startTime }, 0)).toBe(true);
  expect(kernel.signalProcess({ pid, startTime }, SIGKILL)).toBe(true);
  expect(await ended).toEqual([null, "SIGKILL"]);
  expect(kernel.processStartTime(pid)).toBeNull();
  expect(kernel.signalProcess({ pid, startTime }, SIGKILL)).toBe(false);
});

test("a zombie counts as gone", async () => {
  // The shell becomes a sleep that never reaps its child, which ends when its input does.
  const script = "cat <&3 & echo $!; exec sleep 1000 3<&-";
  const parent = spawn("sh", ["-c", script], { stdio: ["ignore", "pipe", "ignore", "pipe"] });
  const ended = once(parent, "exit");
  try {
    const [line] = (await once(parent.stdout!, "data")) as [Buffer];
    const pid = Number(line.toString());
    const startTime = kernel.processStartTime(pid)!;
    expect(startTime).toBeGreaterThan(0);
    expect(kernel.signalProcess({ pid, startTime }, SIGKILL)).toBe(true);
    await expect.poll(() => readFileSync(`/proc/${pid}/stat`, "utf8")).toMatch(/\) Z /);
    expect(kernel.processStartTime(pid)).toBeNull();
    expect(kernel.signalProcess({ pid, startTime }, SIGKILL)).toBe(false);
  } finally {
    parent.kill("SIGKILL");
    await ended;
  }
});

test("a wrong signal or PID is an error", async () => {
  const startTime = kernel.processStartTime(process.pid)!;
  const self = { pid: process.pid, startTime };
  expect(() => kernel.signalProcess(self, 1000)).toThrow(
    expect.objectContaining({ name: "KernelError", step: "pidfd_send_signal", errno: "EINVAL" }),
  );
  for (const pid of [0, -1]) {
    expect(kernel.processStartTime(pid)).toBeNull();
    expect(() => kernel.signalProcess({ pid, startTime }, 0)).toThrow(
      expect.objectContaining({ step: "pidfd_open", errno: "EINVAL" }),
    );
  }
});

test("host facts agree with the host", async () => {
  const facts = await kernel.hostFacts();
  const controllers = readFileSync(`${await kernel.cgroupMount()}/cgroup.controllers`, "utf8");
  const status = readFileSync("/proc/self/status", "utf8");
  const ulimit = () => execFileSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).trim();
  const effective = BigInt(`0x${/^CapEff:\s*(\w+)$/m.exec(status)![1]}`);
  const mayRaise = ((effective >> 24n) & 1n) === 1n;
  // Whatever this process was started with counts only where it cannot be raised.
  const hard = mayRaise ? readFileSync("/proc/sys/fs/nr_open", "utf8").trim() : ulimit();
  expect(facts).toMatchObject({
    kernelRelease: release(),
    bootId: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
    cgroupControllers: controllers.split(/\s+/).filter((name) => name !== ""),
    capSysResource: mayRaise,
    nofileHard: hard === "unlimited" ? 2 ** 31 : Math.min(2 ** 31, Number(hard)),
    lastCapability: Number(readFileSync("/proc/sys/kernel/cap_last_cap", "utf8")),
  });
  expect(typeof facts.apparmor).toBe("boolean");
  expect(typeof facts.selinux).toBe("boolean");
  expect(typeof facts.deviceFilter).toBe("boolean");
});
