// What a run of tests that was killed leaves behind goes at the start of the next one; and controllers that
// were off before are off again.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { cgroupMount, rememberControllers } from "../runner/controllers.ts";
import { makeScratch, removeScratch, sweepScratches } from "./support/scratch.ts";

test("a dead process's scratch is swept with all it has in the host, a living one's stays", async () => {
  const [dead, alive] = [makeScratch(), makeScratch()];
  try {
    for (const scratch of [dead, alive]) {
      execFileSync("ip", ["link", "add", scratch.bridge, "type", "bridge"]);
      mkdirSync(scratch.cgroup);
    }
    // In the place of a daemon: it has the configuration among its arguments.
    const daemon = spawn("sh", ["-c", "read line", dead.config], { stdio: ["pipe", "ignore", "ignore"] });
    const ended = once(daemon, "exit");
    const [owner = ""] = readFileSync(join(dead.folder, "owner"), "utf8").split(" ");
    // The same process id, but of another process: one that began at another time.
    writeFileSync(join(dead.folder, "owner"), `${owner} 1`);
    await sweepScratches();
    expect(await ended).toEqual([null, "SIGKILL"]);
    const traces = ({ folder, bridge, cgroup }: typeof dead) =>
      [folder, `/sys/class/net/${bridge}`, cgroup].map((path) => existsSync(path));
    expect(traces(dead)).toEqual([false, false, false]);
    expect(traces(alive)).toEqual([true, true, true]);
  } finally {
    await removeScratch(alive);
    await removeScratch(dead);
  }
});

test("controllers are given back, unless somebody uses them", (context) => {
  const file = (...folders: string[]) => join(cgroupMount(), ...folders, "cgroup.subtree_control");
  const words = (path: string) => readFileSync(path, "utf8").split(/\s+/).filter(Boolean);
  const all = words(join(cgroupMount(), "cgroup.controllers"));
  const off = all.find((one) => !words(file()).includes(one));
  context.skip(off === undefined, "every controller of this host is on already");
  const user = `berth-e2e-user-${process.pid}`;
  const giveBack = rememberControllers();
  writeFileSync(file(), `+${off}`);
  mkdirSync(join(cgroupMount(), user));
  try {
    writeFileSync(file(user), `+${off}`);
    giveBack();
    expect(words(file())).toContain(off);
  } finally {
    rmdirSync(join(cgroupMount(), user));
    giveBack();
  }
  expect(words(file())).not.toContain(off);
});
