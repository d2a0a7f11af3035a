// What the process is given: arguments, environment, working directory.

import { posix } from "node:path";
import { BerthError } from "../lib/errors.ts";
import type { ContainerConfig, EnvVar } from "../types/container.ts";
import type { ByteString } from "../types/ids.ts";
import type { ImageRuntimeConfig } from "../types/image.ts";
import type { ContainerPlanInput } from "./inputs.ts";

export const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * Command and arguments (cri-api, ContainerConfig.command): a command replaces the image's entrypoint and
 * drops its cmd; arguments alone replace the cmd. INVALID_ARGUMENT when nothing is left.
 */
export function processArguments(container: ContainerConfig, image: ImageRuntimeConfig): string[] {
  const { command, args } = container;
  if (command.length > 0) return checkedArguments([...command, ...args]);
  return checkedArguments([...image.entrypoint, ...(args.length > 0 ? args : image.cmd)]);
}

/** The same arguments, when the first of them names a program. */
export function checkedArguments(argv: readonly string[]): string[] {
  if (argv.length === 0 || argv[0] === "") {
    throw new BerthError(
      "INVALID_ARGUMENT",
      "no command specified: neither the request nor the image names a program to run",
    );
  }
  return [...argv];
}

/** UTF-8 text as a byte string. */
export function bytesOf(text: string): ByteString {
  return Buffer.from(text, "utf8").toString("latin1");
}

/**
 * "NAME=value" byte strings: the image's, overridden by name with the container's, then PATH, HOSTNAME,
 * HOME and TERM (with a terminal) where neither sets them. The order of first appearance is kept.
 */
export function processEnvironment(input: ContainerPlanInput): ByteString[] {
  const env = new Map<ByteString, ByteString>();
  for (const entry of input.image.env) setEntry(env, bytesOf(entry));
  for (const variable of input.container.envs) env.set(checkedName(variable), variable.value);
  setMissing(env, "PATH", DEFAULT_PATH);
  if (input.pod.hostname !== "") setMissing(env, "HOSTNAME", bytesOf(input.pod.hostname));
  setMissing(env, "HOME", input.user.home);
  if (input.container.tty) setMissing(env, "TERM", "xterm");
  return listOf(env);
}

/** `base` with the entries of `extra` over it, and defaults for names that are still missing. */
export function mergeEnvironment(
  base: readonly ByteString[],
  extra: readonly ByteString[],
  missing: Readonly<Record<string, string>>,
): ByteString[] {
  const env = new Map<ByteString, ByteString>();
  for (const entry of [...base, ...extra]) setEntry(env, entry);
  for (const [name, value] of Object.entries(missing)) setMissing(env, name, value);
  return listOf(env);
}

/** The value of a name in a list of "NAME=value", or undefined. */
export function environmentValue(env: readonly ByteString[], name: string): ByteString | undefined {
  const prefix = `${name}=`;
  return env.find((entry) => entry.startsWith(prefix))?.slice(prefix.length);
}

/** The container's working directory (absolute), or the image's, or "/". */
export function workingDirectory(requested: string, image: ImageRuntimeConfig): string {
  if (requested !== "") return absolutePath(requested, "working directory");
  // Builders other than the first one have written relative directories; they mean the root's.
  return absolutePath(`/${image.workingDir}`, "working directory of the image");
}

/** Nothing to clean. No component begins with a dot, which is more than must be. */
const CLEAN_PATH = /^(?:\/[^/.\0][^/\0]*)+$/;

/** `path` without ".", ".." and doubled or trailing slashes. INVALID_ARGUMENT for relative ones. */
export function absolutePath(path: string, what: string): string {
  if (CLEAN_PATH.test(path)) return path;
  if (!path.startsWith("/") || path.includes("\0")) {
    throw new BerthError("INVALID_ARGUMENT", `${what} ${JSON.stringify(path)}: must be an absolute path`);
  }
  const clean = posix.normalize(path).replace(/\/+$/, "");
  return clean === "" ? "/" : clean.replace(/^\/+/, "/");
}

function setEntry(env: Map<ByteString, ByteString>, entry: ByteString): void {
  const equals = entry.indexOf("=");
  // An image may list a bare name; it has no value to set (image-spec: entries are VARNAME=VARVALUE).
  if (equals > 0) env.set(entry.slice(0, equals), entry.slice(equals + 1));
}

function setMissing(env: Map<ByteString, ByteString>, name: string, value: ByteString): void {
  if (!env.has(name)) env.set(name, value);
}

function listOf(env: ReadonlyMap<ByteString, ByteString>): ByteString[] {
  return [...env].map(([name, value]) => `${name}=${value}`);
}

function checkedName(variable: EnvVar): ByteString {
  if (variable.name !== "" && !variable.name.includes("=")) return variable.name;
  throw new BerthError(
    "INVALID_ARGUMENT",
    `environment variable ${JSON.stringify(variable.name)}: the name must not be empty or hold "="`,
  );
}
