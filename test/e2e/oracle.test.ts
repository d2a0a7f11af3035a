// The same configuration through berth's own code, crun and runc: the program inside must see the same.

import { execFileSync } from "node:child_process";
import { mkdirSync, rmdirSync, statSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { unexplained, unusedRules } from "./oracle/allowed.ts";
import { CASES, type OracleCase, SHARED } from "./oracle/cases.ts";
import { comparable, differences, type Report } from "./oracle/report.ts";
import { PROBE, Stage } from "./support/stage.ts";

const RUNTIMES = ["crun", "runc"] as const;
const TOML = RUNTIMES.map((name) => `[handlers.${name}]\ntype = "oci"\npath = "/usr/bin/${name}"`).join("\n");

let stage: Stage;
let made = 0;
beforeAll(async () => {
  // Propagation needs a mount that has it.
  mkdirSync(SHARED);
  execFileSync("mount", ["-t", "tmpfs", "berth-oracle", SHARED]);
  execFileSync("mount", ["--make-shared", SHARED]);
  stage = await Stage.make([PROBE], [], { toml: TOML });
});
afterAll(async () => {
  await stage.remove();
  execFileSync("umount", [SHARED]);
  rmdirSync(SHARED);
});

/** What the probe reports, and the same of an exec. */
async function report(handler: string, { pod = {}, container = {} }: OracleCase): Promise<Report[]> {
  const name = `${handler}-${++made}`;
  const podId = await stage.runPod(name, { hostname: "oracle", ...pod }, handler);
  try {
    const id = await stage.run(podId, "c", PROBE, ["/probe", "report", "--json"], container);
    const { exitCode } = await stage.exited(id);
    expect([exitCode, exitCode === 0 ? "" : stage.log(name, "c")]).toEqual([0, ""]);
    const first = JSON.parse(stage.output(name, "c").replaceAll("\r", "")) as Report;
    const idle = await stage.run(podId, "idle", PROBE, ["/probe", "sleep", "1000"], container);
    const exec = await stage.exec(idle, "/probe", "report", "--json");
    expect(exec.err).toBe("");
    return [first, JSON.parse(exec.out) as Report].map(comparable);
  } finally {
    await stage.removePod(podId);
  }
}

describe.each(Object.entries(CASES))("%s", (name, one) => {
  let native: Report[];
  beforeAll(async () => {
    native = await report("native", one);
  });

  test.each(RUNTIMES)("%s", async (handler) => {
    const foreign = await report(handler, one);
    const found = foreign.map((its, index) => {
      const all = differences(native[index] ?? {}, its).map((each) =>
        unexplained(handler, name.startsWith("a user namespace"), each),
      );
      return all.filter((each) => each.native.length + each.foreign.length > 0);
    });
    // crun gives the standard streams to the container's user.
    expect(statSync("/dev/null")).toMatchObject({ uid: 0, gid: 0 });
    // The container's own process, and an exec.
    expect(found).toEqual([[], []]);
  });
});

test("every allowed difference is one", () => expect(unusedRules()).toEqual([]));
