// What stats, top and events print.

import { expect, it } from "vitest";
import { json, line, readFilters } from "../../../src/cli/commands/events.ts";
import { row } from "../../../src/cli/commands/stats.ts";
import { cells } from "../../../src/cli/commands/top.ts";
import { ContainerUsage, EventsResponse, Process } from "../../../src/gen/berth/v1/engine.ts";

it("stats: shares, limits, and a dash for what has none", () => {
  const usage = ContainerUsage.fromPartial({
    id: "a".repeat(64),
    name: "web",
    nanoCores: 1_234_000_000n,
    memory: 25n * 1024n * 1024n,
    memoryLimit: 100n * 1024n * 1024n,
    received: 1_500n,
    sent: 20n,
    processes: 3,
  });
  expect(row(usage, false)).toEqual({
    Container: "a".repeat(64),
    ID: "a".repeat(12),
    Name: "web",
    CPUPerc: "123.40%",
    MemUsage: "25MiB / 100MiB",
    MemPerc: "25.00%",
    NetIO: "1.5kB / 20B",
    BlockIO: "0B / 0B",
    PIDs: "3",
  });
  expect(row({ ...usage, memoryLimit: 0n }, true)).toMatchObject({ MemUsage: "25MiB / -", MemPerc: "-" });
});

it("top: time of day or date, CPU time, and the command as bytes of UTF-8", () => {
  const now = new Date(2026, 5, 15, 12, 0, 0);
  const process = Process.fromPartial({
    pid: 7,
    parent: 1,
    uid: 1000,
    startedMs: BigInt(new Date(2026, 5, 15, 9, 5).getTime()),
    cpuMs: 3_725_900n,
    command: [Buffer.from("sh"), Buffer.from("-c"), Buffer.from("ü")],
  });
  expect(cells(process, now)).toEqual(["1000", "7", "1", "09:05", "01:02:05", "sh -c ü"]);
  const old = { ...process, startedMs: BigInt(new Date(2026, 3, 2).getTime()) };
  expect(cells(old, now)[3]).toBe("02 Apr");
});

const DIE = EventsResponse.fromPartial({
  at: 1_700_000_000_123_456n,
  type: "container",
  action: "die",
  id: "c".repeat(64),
  name: "web\u001b[2J",
  podId: "p".repeat(64),
  image: "busybox",
  exitCode: 137,
  oomKilled: true,
});

it("events: a line or an object, nothing that moves the cursor", () => {
  expect(line(DIE)).toBe(
    `2023-11-14T22:13:20.123Z container die ${DIE.id} (name=web\\x1b[2J, image=busybox, pod=${DIE.podId}, ` +
      "exitCode=137, oomKilled=true)\n",
  );
  expect(JSON.parse(json(DIE))).toMatchObject({ action: "die", exitCode: 137, name: DIE.name });
  const pull = EventsResponse.fromPartial({ at: 0n, type: "image", action: "pull", id: "sha256:1" });
  expect(line(pull)).toBe("1970-01-01T00:00:00.000Z image pull sha256:1\n");
});

it("events: filters of one kind are alternatives, those of several kinds add up", () => {
  const fits = (...filters: string[]) => readFilters(filters)(DIE);
  expect(fits()).toBe(true);
  expect(fits("event=start", "event=die")).toBe(true);
  expect(fits("event=die", "type=pod")).toBe(false);
  expect(fits("container=cccc", `pod=${"p".repeat(12)}`, "image=busybox")).toBe(true);
  expect(() => fits("colour=red")).toThrow('invalid filter "colour=red"');
  expect(() => fits("event=")).toThrow("invalid filter");
});
