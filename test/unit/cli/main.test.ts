import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { complain } from "../../../src/cli/complain.ts";
import { commandHelp, overview } from "../../../src/cli/help.ts";
import { COMMANDS, findCommand } from "../../../src/cli/registry.ts";

const main = join(import.meta.dirname, "../../../src/cli/main.ts");

function berth(...args: string[]) {
  const env = { ...process.env, BERTH_HOST: "/tmp/berth-none/s" };
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { env, encoding: "utf8" });
  return { status, stdout, stderr };
}

describe("berth", () => {
  it("prints help without a daemon", () => {
    expect(berth().stdout).toContain("Usage:  berth [OPTIONS] COMMAND");
    expect(berth("run", "--help")).toMatchObject({
      status: 0,
      stdout: expect.stringContaining("Usage:  berth run [OPTIONS] IMAGE [COMMAND] [ARG...]"),
    });
  });

  it.each([
    [
      ["image"],
      1,
      'berth: "image" is no berth command; there are image prune, image verify, image repair\n' +
        'See "berth --help".\n',
    ],
    [["system", "x"], 1, 'berth: "system x" is no berth command; there is system df\nSee "berth --help".\n'],
    [["runn"], 1, 'berth: "runn" is no berth command; did you mean "run"?\nSee "berth --help".\n'],
    [["run", "--zzzzzz", "x"], 125, 'berth: unknown flag: --zzzzzz\nSee "berth run --help".\n'],
    [["stop"], 1, '"berth stop" needs at least 1 argument; usage: berth stop'],
    [["ps", "x"], 1, '"berth ps" takes no arguments'],
    [["-H", "tcp://1.2.3.4", "ps"], 125, "berthd listens on a unix socket only"],
    [["ps"], 1, 'cannot connect to berthd at "/tmp/berth-none/s" (ENOENT): is it running?'],
    [["run", "alpine"], 125, "cannot connect to berthd"],
  ])("%j exits with %d", (args, status, message) => {
    expect(berth(...args)).toMatchObject({ status, stdout: "", stderr: expect.stringContaining(message) });
  });
});

it("finds commands by docker's longer names", () => {
  const nameOf = (line: string) => findCommand(line.split(" "))?.entry.name;
  expect(nameOf("container ls -a")).toBe("ps");
  expect(nameOf("image rm x")).toBe("rmi");
  expect(nameOf("system info")).toBe("info");
  expect(nameOf("container nope")).toBeUndefined();
  expect(nameOf("constructor x")).toBeUndefined();
});

it("has help for every command, with each option once", async () => {
  expect(overview(COMMANDS).split("\n").length).toBeGreaterThan(COMMANDS.length);
  for (const entry of COMMANDS) {
    const { command } = await entry.load();
    const names = command.options.flatMap(({ name, short }) =>
      short === undefined ? [name] : [name, `-${short}`],
    );
    expect(new Set(names).size).toBe(names.length);
    for (const { name } of command.options) expect(commandHelp(entry, command)).toContain(`--${name}`);
  }
});

it("writes control characters of messages out", () => {
  const written: string[] = [];
  complain({ write: (text: string) => written.push(text) > 0 } as never, "a\x1b[2J\nb\x07");
  expect(written).toEqual(["berth: a\\x1b[2J\nb\\x07\n"]);
});
