// Debian's docker-registry on a free loopback port, for tests: nothing of it outlives stop().

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { MadeImage } from "./layout.ts";

export interface TestRegistry {
  /** "127.0.0.1:PORT". */
  readonly host: string;
  /** All it has on disk; gone after stop(). */
  readonly folder: string;
  /** Its storage, in that folder, which another docker-registry can serve as well. */
  readonly storage: string;
  /** Pushes under "<host>/<repository>:<tag>" and returns that reference. `target` is "repository:tag". */
  push(image: MadeImage, target: string): Promise<string>;
  stop(): Promise<void>;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

/** Who may use a registry that asks for credentials. */
export const LOGIN = { name: "somebody", password: "a:b c" };
const STORAGE = "storage";
const LOGIN_BCRYPT = "$2y$05$abcdefghijklmnopqrstuu9TcsGdticVpdADOqGm32Mc7Wlb/1Snu";

export interface RegistryOptions {
  /** Asks for LOGIN. */
  readonly login?: boolean;
}

function configuration(folder: string, port: number, login: boolean): string {
  const auth = login ? `auth: { htpasswd: { realm: test, path: "${join(folder, "htpasswd")}" } }\n` : "";
  return `${auth}version: 0.1
log: { level: warn, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: "${join(folder, STORAGE)}" }, delete: { enabled: true } }
http: { addr: "127.0.0.1:${port}" }
`;
}

function exited(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once("exit", () => resolve()));
}

function runToEnd(command: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"] });
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      errors += text;
    });
    child.once("error", (error) => reject(new Error(`start "${command}": ${error.message}`)));
    child.once("close", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`run "${command} ${args.join(" ")}": exit code ${code}\n${errors}`));
    });
  });
}

async function untilAnswering(child: ChildProcess, host: string, log: () => string): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`docker-registry ended with ${child.exitCode}: ${log()}`);
    try {
      const answer = await fetch(`http://${host}/v2/`);
      if (answer.ok || answer.status === 401) return;
    } catch {
      // Not listening yet.
    }
    await sleep(20);
  }
}

export async function startRegistry({ login = false }: RegistryOptions = {}): Promise<TestRegistry> {
  const folder = mkdtempSync("/tmp/berth-registry-");
  const port = await freePort();
  const host = `127.0.0.1:${port}`;
  writeFileSync(join(folder, "htpasswd"), `${LOGIN.name}:${LOGIN_BCRYPT}\n`);
  writeFileSync(join(folder, "config.yml"), configuration(folder, port, login));
  const child = spawn("docker-registry", ["serve", join(folder, "config.yml")], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, OTEL_TRACES_EXPORTER: "none" },
  });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log = (log + text).slice(-8192);
  });
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await exited(child);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await Promise.race([
      untilAnswering(child, host, () => log),
      new Promise((_, reject) =>
        child.once("error", (error) => reject(new Error(`docker-registry: ${error.message}`))),
      ),
    ]);
  } catch (error) {
    await stop();
    throw error;
  }
  const push = async (image: MadeImage, target: string): Promise<string> => {
    const options = ["--insecure-policy", "copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false"];
    if (login) options.push(`--dest-creds=${LOGIN.name}:${LOGIN.password}`);
    await runToEnd("skopeo", [...options, `oci:${image.layout}`, `docker://${host}/${target}`]);
    return `${host}/${target}`;
  };
  return { host, folder, storage: join(folder, STORAGE), push, stop };
}
