import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { afterEach, beforeEach, expect, test } from "vitest";
import { silentLogger } from "../../../src/lib/call.ts";
import { StreamingServer } from "../../../src/streaming/server.ts";

let folder: string;
let server: StreamingServer;
let logged: { level: string; text: string }[];

/** A pair in a directory of its own. */
function makePair(name: string): void {
  execFileSync("mkdir", [join(folder, name)]);
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  const files = ["-keyout", join(folder, name, "tls.key"), "-out", join(folder, name, "tls.crt")];
  execFileSync("openssl", ["req", "-x509", ...key, ...files, "-subj", `/CN=${name}`], { stdio: "pipe" });
}

/** Moves the link that the configured paths go through, as a mounted secret does. */
function show(name: string): void {
  symlinkSync(name, join(folder, "new"));
  renameSync(join(folder, "new"), join(folder, "now"));
}

function makeServer(): StreamingServer {
  const at = (file: string) => join(folder, "now", file);
  const config = { address: "127.0.0.1", port: 0, tlsCertificate: at("tls.crt"), tlsKey: at("tls.key") };
  const note = (level: string) => (fields: object, message: string) =>
    void logged.push({ level, text: `${message} ${JSON.stringify(fields)}` });
  const log = { ...silentLogger, info: note("info"), error: note("error") };
  return new StreamingServer(config, log, { certificateMs: 5 });
}

/** The name in the certificate that a new connection is shown. */
async function shown(): Promise<string> {
  const socket = connect({ port: Number(new URL(server.url).port), rejectUnauthorized: false });
  await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
  const certificate = new X509Certificate(socket.getPeerCertificate(true).raw);
  socket.destroy();
  return certificate.subject;
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "berth-certificate-"));
  logged = [];
  for (const name of ["first", "second"]) makePair(name);
  show("first");
  server = makeServer();
  await server.listen();
});
afterEach(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

const errors = () => logged.filter(({ level }) => level === "error").map(({ text }) => text);

test("a renewed certificate is shown to new connections", async () => {
  expect(await shown()).toBe("CN=first");
  show("second");
  await expect.poll(() => shown()).toBe("CN=second");
  expect(errors()).toEqual([]);
  expect(logged).toEqual([{ level: "info", text: expect.stringContaining("certificate renewed") }]);
});

test.each([
  ["no PEM", (at: string) => writeFileSync(join(at, "tls.crt"), "nonsense"), "tls.crt"],
  [
    "a key of another certificate",
    (at: string) => {
      unlinkSync(join(at, "tls.key"));
      symlinkSync(join(folder, "first", "tls.key"), join(at, "tls.key"));
    },
    "mismatch",
  ],
  ["a file that is not there", (at: string) => unlinkSync(join(at, "tls.key")), "ENOENT"],
])(
  "%s: the old one stays, the reason is logged once, and what comes next is taken",
  async (_, spoil, reason) => {
    makePair("third");
    spoil(join(folder, "third"));
    show("third");
    await expect.poll(() => errors()).toEqual([expect.stringContaining(reason)]);
    expect(await shown()).toBe("CN=first");
    // Some more looks at the same files.
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(errors()).toHaveLength(1);
    show("second");
    await expect.poll(() => shown()).toBe("CN=second");
  },
);

test("a server does not begin with files that are no pair", async () => {
  symlinkSync(join(folder, "second", "tls.key"), join(folder, "first", "new"));
  renameSync(join(folder, "first", "new"), join(folder, "first", "tls.key"));
  await expect(makeServer().listen()).rejects.toMatchObject({
    code: "INVALID_ARGUMENT",
    message: expect.stringMatching(/certificate ".*tls\.crt" and key ".*tls\.key".*mismatch/),
  });
});
