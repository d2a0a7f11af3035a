import { describe, expect, it } from "vitest";
import { RpcError } from "../../../src/cli/client/rpc-error.ts";
import { imageRows } from "../../../src/cli/commands/images.ts";
import { LogWriter } from "../../../src/cli/commands/logs.ts";
import { row } from "../../../src/cli/commands/ps.ts";
import { ago, humanDuration, humanSize } from "../../../src/cli/format/quantities.ts";
import { familiar, shortId, shortImage, splitTag } from "../../../src/cli/format/references.ts";
import { harmless, table } from "../../../src/cli/format/table.ts";
import { formatListing } from "../../../src/cli/format/template.ts";
import { BarDisplay, LineDisplay } from "../../../src/cli/progress.ts";
import { exitCodeOfFailure } from "../../../src/cli/start-failure.ts";
import { ContainerSummary, ImageSummary } from "../../../src/gen/berth/v1/engine.ts";

const SECOND = 1000;
const HOUR = 3600 * SECOND;
const DAY = 24 * HOUR;

describe("durations", () => {
  it.each([
    [0, "Less than a second"],
    [SECOND, "1 second"],
    [59 * SECOND, "59 seconds"],
    [60 * SECOND, "About a minute"],
    [30 * 60 * SECOND, "30 minutes"],
    [HOUR, "About an hour"],
    [47 * HOUR, "47 hours"],
    [3 * DAY, "3 days"],
    [20 * DAY, "2 weeks"],
    [100 * DAY, "3 months"],
    [800 * DAY, "2 years"],
  ])("%d ms is %s", (millis, expected) => expect(humanDuration(millis)).toBe(expected));

  it("knows nothing of time 0, and of no future", () => {
    expect(ago(0, 5)).toBe("N/A");
    expect(ago(10_000, 5000)).toBe("Less than a second ago");
  });
});

it("prints sizes with significant digits", () => {
  expect(humanSize(0)).toBe("0B");
  expect(humanSize(999)).toBe("999B");
  expect(humanSize(7_049_688)).toBe("7.05MB");
  expect(humanSize(133_000_000)).toBe("133MB");
  expect(humanSize(1_234_567, 4)).toBe("1.235MB");
});

it("shortens references", () => {
  expect(familiar("docker.io/library/alpine:3.20")).toBe("alpine:3.20");
  expect(familiar("docker.io/me/app:1")).toBe("me/app:1");
  expect(familiar("ghcr.io/library/x")).toBe("ghcr.io/library/x");
  expect(splitTag("localhost:5000/a/b")).toEqual({ repository: "localhost:5000/a/b", tag: "" });
  expect(splitTag("localhost:5000/a:1")).toEqual({ repository: "localhost:5000/a", tag: "1" });
  expect(shortId(`sha256:${"ab".repeat(32)}`)).toBe("abababababab");
  expect(shortImage(`docker.io/library/a@sha256:${"0".repeat(64)}`)).toBe("a");
});

describe("tables", () => {
  it("aligns columns and trims their ends", () => {
    expect(
      table(
        ["ID", "NAMES"],
        [
          ["abcdefghij", "x"],
          ["b", "y"],
        ],
      ),
    ).toBe("ID           NAMES\nabcdefghij   x\nb            y\n");
  });
  it("lets no cell reach the terminal", () => {
    expect(harmless("a\x1b[2Jb\n\x9b")).toBe("a\\x1b[2Jb\\n\\x9b");
  });
  it("fills templates and refuses unknown placeholders", () => {
    const listing = {
      rows: [{ ID: "1", Names: "x" }],
      columns: [["ID", "ID"]] as const,
      keys: ["ID", "Names"],
    };
    expect(formatListing(listing, "{{.ID}}\\t{{ .Names }}")).toBe("1\tx\n");
    expect(formatListing(listing, "json")).toBe('{"ID":"1","Names":"x"}\n');
    expect(formatListing(listing, undefined)).toBe("ID\n1\n");
    expect(() => formatListing(listing, "{{.Nope}}")).toThrow("{{.ID}} {{.Names}}");
    expect(() => formatListing(listing, "{{range .}}")).toThrow("--format");
  });
});

describe("rows", () => {
  const now = Date.UTC(2026, 0, 2);
  const micros = (millis: number) => BigInt(millis) * 1000n;
  const summary = (fields: Partial<ContainerSummary>) =>
    ContainerSummary.fromPartial({
      id: "ab".repeat(32),
      name: "web",
      image: "docker.io/library/nginx:1",
      command: ["nginx", "-g", "daemon off; and more"],
      createdAt: micros(now - HOUR),
      ...fields,
    });

  it("shows a running container as docker does", () => {
    const ports = [
      { protocol: "tcp", containerPort: 80, hostPort: 8080, hostIp: "" },
      { protocol: "udp", containerPort: 53, hostPort: 53, hostIp: "::1" },
    ];
    const shown = row(summary({ state: "running", startedAt: micros(now - 5 * SECOND), ports }), now, false);
    expect(shown).toMatchObject({
      ID: "abababababab",
      Image: "nginx:1",
      Command: '"nginx -g daemon off…"',
      RunningFor: "About an hour ago",
      Status: "Up 5 seconds",
      Ports: "0.0.0.0:8080->80/tcp, [::1]:53->53/udp",
      Names: "web",
    });
  });

  it("shows how others ended", () => {
    const exited = summary({
      state: "exited",
      exitCode: 137,
      oomKilled: true,
      finishedAt: micros(now - DAY),
    });
    expect(row(exited, now, false).Status).toBe("Exited (137) 24 hours ago (out of memory)");
    expect(row(summary({ state: "created" }), now, true)).toMatchObject({
      Status: "Created",
      ID: "ab".repeat(32),
    });
  });

  it("shows an image once for each tag, or once without", () => {
    const digest = `sha256:${"1".repeat(64)}`;
    const image = ImageSummary.fromPartial({
      id: `sha256:${"a".repeat(64)}`,
      repoTags: ["docker.io/library/a:1", "ghcr.io/x/a:2"],
      repoDigests: [`docker.io/library/a@${digest}`],
      size: 5_000_000n,
    });
    expect(
      imageRows(image, now, false).map(({ Repository, Tag, Digest }) => [Repository, Tag, Digest]),
    ).toEqual([
      ["a", "1", digest],
      ["ghcr.io/x/a", "2", "<none>"],
    ]);
    expect(imageRows(image, now, false)[0]?.Type).toBe("image");
    expect(imageRows({ ...image, artifactType: "application/vnd.x" }, now, false)[0]?.Type).toBe(
      "application/vnd.x",
    );
    const untagged = imageRows({ ...image, repoTags: [] }, now, false);
    expect(untagged).toMatchObject([{ Repository: "a", Tag: "<none>", CreatedSince: "N/A", Size: "5MB" }]);
  });
});

it("joins log records and puts times before whole lines only", () => {
  const writer = new LogWriter(true);
  const record = (stderr: boolean, text: string) => ({ time: "T", stderr, content: Buffer.from(text) });
  const writes = writer.join([
    record(false, "a\n"),
    record(false, "part"),
    record(true, "e\n"),
    record(false, "rest\n"),
  ]);
  expect(writes.map(({ stderr, data }) => [stderr, data.toString()])).toEqual([
    [false, "T a\nT part"],
    [true, "T e\n"],
    [false, "rest\n"],
  ]);
});

describe("progress", () => {
  const layer = (digit: string, phase: string, bytes = 0n, total = 0n) => ({
    layer: `sha256:${digit.repeat(64)}`,
    phase,
    bytes,
    total,
    rate: 0n,
    host: "https://reg.test",
    retries: 0,
  });
  it("writes a line for each beginning and end", () => {
    const lines: string[] = [];
    const display = new LineDisplay((text) => lines.push(text));
    display.update([layer("a", "wait"), { ...layer("a", "resolve"), layer: "" }]);
    display.update([layer("a", "download", 1n, 2n), layer("b", "done")]);
    display.update([{ ...layer("a", "download", 1n, 2n), retries: 1 }]);
    display.update([layer("a", "done")]);
    expect(lines).toEqual([
      "aaaaaaaaaaaa: Pulling layer\n",
      "bbbbbbbbbbbb: Pull complete\n",
      "aaaaaaaaaaaa: Retrying (transfer from https://reg.test broke)\n",
      "aaaaaaaaaaaa: Pull complete\n",
    ]);
  });
  it("shows the share alone on a narrow screen", () => {
    const drawn: string[] = [];
    const screen = { columns: 30, rows: 6, write: (text: string) => drawn.push(text) > 0 };
    new BarDisplay(screen as unknown as NodeJS.WriteStream).update([layer("a", "download", 50n, 100n)]);
    expect(drawn[0]).toContain("aaaaaaaaaaaa: Downloading 50%\n");
  });
  it("draws bars over the last picture, within the screen", () => {
    const drawn: string[] = [];
    const screen = { columns: 90, rows: 6, write: (text: string) => drawn.push(text) > 0 };
    const display = new BarDisplay(screen as unknown as NodeJS.WriteStream);
    display.update([layer("a", "download", 50n, 100n)]);
    expect(drawn[0]).toContain("aaaaaaaaaaaa: Downloading");
    expect(drawn[0]).toMatch(/\[=+> +\] 50B\/100B/);
    display.update([..."bcdef"].map((digit) => layer(digit, "wait")));
    expect(drawn[1]).toMatch(/^\x1b\[1A/);
    expect(drawn[1]).toContain("… and 3 more layers");
    for (const line of (drawn[1] as string).split("\n")) {
      expect(line.replaceAll(/\x1b\[\d*[A-Z]/g, "").length).toBeLessThan(90);
    }
    display.finish();
    expect(drawn[2]).toMatch(/^\x1b\[4A/);
  });
});

it("knows exit codes of programs that could not be started", () => {
  const code = (message: string, errno = "") =>
    exitCodeOfFailure(new RpcError("INTERNAL", message, { errno }));
  expect(code('start container "x": execute "nope": no such file in the image')).toBe(127);
  expect(code('start container "x": execute "nope": permission denied')).toBe(126);
  expect(code('exec in container "x": exec "sh": executable file not found in $PATH')).toBe(127);
  expect(code('exec in container "x": exec "sh": why', "ENOENT")).toBe(127);
  expect(code('create container: mount "/a": ENOENT', "ENOENT")).toBe(125);
  expect(exitCodeOfFailure(new Error("x"))).toBe(125);
});
