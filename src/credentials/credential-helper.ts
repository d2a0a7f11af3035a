// Docker's credential helpers: programs that keep passwords. The only file here that starts processes.

import { execFile } from "node:child_process";
import { BerthError, errnoOf } from "../lib/errors.ts";
import type { RegistryAuth } from "../types/image.ts";
import { keyOfHost, noAuth } from "./docker-config.ts";

const timeoutMs = 30_000;
const maxOutputBytes = 256 * 1024;
const fallbackPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** What helpers print when they know nothing (docker-credential-helpers, credentials/error.go). */
const notFound = /credentials not found in native keychain/;

/**
 * What `docker-credential-<helper> get` knows of `host`; undefined when it knows nothing. FAILED_PRECONDITION
 * when there is no such program or it fails, DEADLINE_EXCEEDED when it does not end.
 */
export async function askHelper(helper: string, host: string): Promise<RegistryAuth | undefined> {
  const ran = await runHelper(helper, "get", keyOfHost(host));
  if (ran.failed && notFound.test(ran.stdout)) return undefined;
  if (ran.failed) throw failure(helper, "get", "it failed; run it by hand to see why");
  let answer: unknown;
  try {
    answer = JSON.parse(ran.stdout);
  } catch {
    throw failure(helper, "get", "its answer is not JSON");
  }
  const { Username: username, Secret: secret } = (answer ?? {}) as Record<string, unknown>;
  if (typeof username !== "string" || typeof secret !== "string") {
    throw failure(helper, "get", "its answer has no Username and Secret");
  }
  if (username === "" && secret === "") return undefined;
  // This user name says that the secret is an identity token.
  if (username === "<token>") return { ...noAuth, serverAddress: host, identityToken: secret };
  return { ...noAuth, serverAddress: host, username, password: secret };
}

/** Lets the helper keep credentials of `host`. */
export async function storeInHelper(helper: string, host: string, auth: RegistryAuth): Promise<void> {
  const token = auth.identityToken !== "";
  const input = JSON.stringify({
    ServerURL: keyOfHost(host),
    Username: token ? "<token>" : auth.username,
    Secret: token ? auth.identityToken : auth.password,
  });
  if ((await runHelper(helper, "store", input)).failed) throw failure(helper, "store", "it failed");
}

/** Lets the helper forget those of `host`; false when it had none. */
export async function eraseFromHelper(helper: string, host: string): Promise<boolean> {
  const ran = await runHelper(helper, "erase", keyOfHost(host));
  if (ran.failed && !notFound.test(ran.stdout)) throw failure(helper, "erase", "it failed");
  return !ran.failed;
}

function runHelper(
  helper: string,
  verb: "get" | "store" | "erase",
  input: string,
): Promise<{ failed: boolean; stdout: string }> {
  // A name, not a path: the program is looked for where programs are.
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(helper))
    throw failure(helper, verb, "that is no name of one");
  const program = `docker-credential-${helper}`;
  const options = {
    cwd: "/",
    encoding: "utf8",
    timeout: timeoutMs,
    killSignal: "SIGKILL",
    maxBuffer: maxOutputBytes,
    env: { ...process.env, PATH: process.env.PATH ?? fallbackPath },
  } as const;
  return new Promise((resolve, reject) => {
    const child = execFile(program, [verb], options, (error, stdout) => {
      if (error === null) return resolve({ failed: false, stdout });
      const errno = errnoOf(error);
      if (errno === "ENOENT")
        return reject(failure(helper, verb, `there is no program "${program}" in PATH`));
      if (errno !== undefined) return reject(failure(helper, verb, errno));
      if ((error as { code?: unknown }).code === "ERR_CHILD_PROCESS_STDIO_MAXBUFFER") {
        return reject(failure(helper, verb, `it printed more than ${maxOutputBytes} bytes, killed`));
      }
      if (error.killed === true) {
        const message = describe(helper, verb, `not done within ${timeoutMs / 1000} s, killed`);
        return reject(new BerthError("DEADLINE_EXCEEDED", message));
      }
      resolve({ failed: true, stdout });
    });
    // A helper need not read its input; what it does instead shows in its exit status.
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
  });
}

function failure(helper: string, verb: string, what: string): BerthError {
  return new BerthError("FAILED_PRECONDITION", describe(helper, verb, what));
}

function describe(helper: string, verb: string, what: string): string {
  return `credential helper "${helper}" ${verb}: ${what}`;
}
