import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { DetachFilter, readDetachKeys } from "../../../src/cli/arguments/detach-keys.ts";
import { readEnvironment, readPairs } from "../../../src/cli/arguments/environment.ts";
import { type OptionTable, parseArguments } from "../../../src/cli/arguments/options.ts";
import { readForward, readPort } from "../../../src/cli/arguments/ports.ts";
import { readCpus, readSignal, readSince, readSize } from "../../../src/cli/arguments/quantities.ts";
import { suggestion } from "../../../src/cli/arguments/suggest.ts";
import { readVolume } from "../../../src/cli/arguments/volumes.ts";

const directory = mkdtempSync("/tmp/berth-cli-");
afterAll(() => rmSync(directory, { recursive: true }));

const options: OptionTable = [
  { name: "interactive", short: "i", kind: "flag", help: "" },
  { name: "tty", short: "t", kind: "flag", help: "" },
  { name: "env", short: "e", kind: "list", help: "" },
  { name: "name", kind: "text", help: "" },
  { name: "user", short: "u", kind: "text", help: "" },
];
const parse = (line: string, stopAtFirst = true) =>
  parseArguments(line === "" ? [] : line.split(" "), { options, stopAtFirst });

describe("options", () => {
  it("combines short flags, the last of which may take a value", () => {
    const parsed = parse("-ite A=1 image");
    expect(parsed.flag("interactive")).toBe(true);
    expect(parsed.flag("tty")).toBe(true);
    expect(parsed.list("env")).toEqual(["A=1"]);
    expect(parsed.positional).toEqual(["image"]);
  });

  it("takes values that stick to their flag", () => {
    const parsed = parse("-eA=1 -e=B=2 --env=C=3 --env D=4 -u0 --name=x image");
    expect(parsed.list("env")).toEqual(["A=1", "B=2", "C=3", "D=4"]);
    expect(parsed.text("user")).toBe("0");
    expect(parsed.text("name")).toBe("x");
  });

  it("stops at the first plain argument when asked to", () => {
    expect(parse("-i image ls -l --all").positional).toEqual(["image", "ls", "-l", "--all"]);
    expect(parse("a -i b", false).positional).toEqual(["a", "b"]);
    expect(parse("a -i b", false).flag("interactive")).toBe(true);
  });

  it("ends options at --, and takes - for a plain argument", () => {
    expect(parse("-i -- -t x").positional).toEqual(["-t", "x"]);
    expect(parse("- x", false).positional).toEqual(["-", "x"]);
    expect(parse("-e -- image").list("env")).toEqual(["--"]);
  });

  it("lets the last value count, and flags be switched off", () => {
    expect(parse("--name a --name b").text("name")).toBe("b");
    expect(parse("-i --interactive=false").flag("interactive")).toBe(false);
    expect(parse("--tty=1 -i=true").flag("tty")).toBe(true);
  });

  it.each([
    ["--nmae x", "unknown flag: --nmae; did you mean --name?"],
    ["--zzzzzzz", "unknown flag: --zzzzzzz"],
    ["-ix", 'unknown shorthand flag: "x" in -ix'],
    ["--name", "flag needs an argument: --name"],
    ["-e", "flag needs an argument: -e"],
    ["--tty=maybe", 'invalid value "maybe" for --tty: it is true or false'],
  ])("refuses %s", (line, message) => {
    expect(() => parse(line)).toThrow(expect.objectContaining({ message, exitCode: 125 }));
  });

  it("reads whole numbers", () => {
    expect(parse("--name 12").number("name")).toBe(12);
    expect(() => parse("--name=-1").number("name")).toThrow('invalid value "-1" for --name');
  });
});

describe("suggestions", () => {
  it("finds the nearest word and no far one", () => {
    expect(suggestion("rnu", ["run", "rm", "pull"])).toBe("run");
    expect(suggestion("imagse", ["images", "inspect"])).toBe("images");
    expect(suggestion("zebra", ["run", "rm"])).toBeUndefined();
  });
});

describe("environment", () => {
  it("takes names without a value from the client, or leaves them out", () => {
    expect(readEnvironment([], ["A=1", "B", "C", "A=2=3", "E="], { B: "b" })).toEqual([
      { name: "A", value: "2=3" },
      { name: "B", value: "b" },
      { name: "E", value: "" },
    ]);
    expect(() => readEnvironment([], ["=x"], {})).toThrow("it has no name");
  });

  it("reads files; flags win over them", () => {
    const path = join(directory, "env");
    writeFileSync(path, '\uFEFF# comment\r\n\nA=from file\r\n  B="kept"\nH\n');
    expect(readEnvironment([path], ["A=flag"], { H: "host" })).toEqual([
      { name: "A", value: "flag" },
      { name: "B", value: '"kept"' },
      { name: "H", value: "host" },
    ]);
    expect(() => readEnvironment([join(directory, "none")], [], {})).toThrow("read --env-file");
  });

  it("reads pairs", () => {
    expect(readPairs("label", ["a=1", "b", "c=x=y"])).toEqual({ a: "1", b: "", c: "x=y" });
    expect(() => readPairs("label", ["=1"])).toThrow("--label");
  });
});

describe("ports", () => {
  const port = (hostIp: string, hostPort: number, containerPort: number, protocol = "tcp") => ({
    hostIp,
    hostPort,
    containerPort,
    protocol,
  });
  it.each([
    ["8080:80", [port("", 8080, 80)]],
    ["127.0.0.1:8080:80/udp", [port("127.0.0.1", 8080, 80, "udp")]],
    ["[::1]:53:53/udp", [port("::1", 53, 53, "udp")]],
    ["8000-8001:80-81", [port("", 8000, 80), port("", 8001, 81)]],
    [":80:8080", [port("", 80, 8080)]],
  ])("reads %s", (text, expected) => {
    expect(readPort(text)).toEqual(expected);
  });
  it.each([
    "",
    "80",
    "0:80",
    "80:70000",
    "a:80",
    "1:2:3:4",
    "80:80/icmp",
    "1-3:1-2",
    "300.1.1.1:80:80",
    "1.2.3.4::80",
    "9-3:9-3",
  ])("refuses %j", (text) => {
    expect(() => readPort(text)).toThrow("--publish");
  });
});

describe("volumes", () => {
  const plain = { readonly: false, propagation: "private", relabel: false };
  it("reads host path, container path and options", () => {
    expect(readVolume("/a:/b", "/cwd")).toEqual({ hostPath: "/a", containerPath: "/b", ...plain });
    expect(readVolume("./a:/b:ro,rslave,z", "/cwd")).toEqual({
      hostPath: "/cwd/a",
      containerPath: "/b",
      readonly: true,
      propagation: "rslave",
      relabel: true,
    });
    expect(readVolume(".:/b", "/cwd").hostPath).toBe("/cwd");
  });
  it.each(["/only", "name:/b", "/a:b", "/a:/b:what", "/a:/b:ro:rw", "/a:"])("refuses %s", (text) => {
    expect(() => readVolume(text, "/cwd")).toThrow("--volume");
  });
});

describe("quantities", () => {
  it("reads sizes", () => {
    expect(readSize("memory", "1024")).toBe(1024n);
    expect(readSize("memory", "512m")).toBe(512n << 20n);
    expect(readSize("memory", "1.5GiB")).toBe(3n << 29n);
    expect(readSize("memory", "64Kb")).toBe(65536n);
    for (const wrong of ["", "m", "1x", "-1", "1 2"])
      expect(() => readSize("memory", wrong)).toThrow("--memory");
  });
  it("reads processors", () => {
    expect(readCpus("1.5")).toEqual({ period: 100_000n, quota: 150_000n });
    expect(readCpus(".5").quota).toBe(50_000n);
    for (const wrong of ["0", "x", "", "1e3", "0.001"]) expect(() => readCpus(wrong)).toThrow("--cpus");
  });
  it("reads times and ages", () => {
    expect(readSince("1h30m", 10_000_000)).toBe(4_600_000_000_000n);
    expect(readSince("1.5s", 2000)).toBe(500_000_000n);
    expect(readSince("1700000000.5", 0)).toBe(1_700_000_000_500_000_000n);
    expect(readSince("1970-01-01T00:00:01.000000007Z", 0)).toBe(1_000_000_007n);
    for (const wrong of ["", "soon", "5 m", "10"]) {
      if (wrong !== "10") expect(() => readSince(wrong, 0)).toThrow("--since");
    }
  });
  it("reads signals", () => {
    expect(readSignal("signal", "KILL")).toBe(9);
    expect(readSignal("signal", "sigterm")).toBe(15);
    expect(readSignal("signal", "2")).toBe(2);
    expect(readSignal("signal", "SIGRTMIN+3")).toBe(37);
    for (const wrong of ["", "0", "65", "SIGNOPE", "-9"])
      expect(() => readSignal("s", wrong)).toThrow("no such signal");
  });
});

describe("detach keys", () => {
  const keys = readDetachKeys("ctrl-p,ctrl-q");
  it("reads them", () => {
    expect([...keys]).toEqual([16, 17]);
    expect([...readDetachKeys("a,ctrl-@")]).toEqual([97, 0]);
    expect(() => readDetachKeys("ctrl-p,what")).toThrow("--detach-keys");
  });
  it("holds back a beginning until it is known", () => {
    const filter = new DetachFilter(keys);
    expect(filter.push(Buffer.from("ab\x10"))).toEqual({ data: Buffer.from("ab"), detached: false });
    expect(filter.push(Buffer.from("c"))).toEqual({ data: Buffer.from("\x10c"), detached: false });
    expect(filter.push(Buffer.from("\x10\x10"))).toEqual({ data: Buffer.from("\x10"), detached: false });
    expect(filter.push(Buffer.from("\x11rest"))).toEqual({ data: Buffer.alloc(0), detached: true });
  });
  it("passes everything on when there are none", () => {
    const filter = new DetachFilter(readDetachKeys(""));
    expect(filter.push(keys)).toEqual({ data: keys, detached: false });
  });
});

describe("forwarded ports", () => {
  it("have the same number on both sides unless another is named", () => {
    expect(readForward("80")).toEqual({ local: 80, remote: 80 });
    expect(readForward("8080:80")).toEqual({ local: 8080, remote: 80 });
    expect(readForward(":80")).toEqual({ local: 0, remote: 80 });
  });

  it.each(["", ":", "0", "80:", "65536", "70000:80", "a:80", "1:2:3", "-1"])("are not %j", (text) => {
    expect(() => readForward(text)).toThrow(/expected \[LOCAL:\]PORT/);
  });
});
