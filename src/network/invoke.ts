// Runs one CNI plugin (CNI spec, section 2). The only file here that starts processes.

import { type ChildProcessByStdio, spawn } from "node:child_process";
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { BerthError, type ErrorCode, errnoOf, messageOf } from "../lib/errors.ts";
import { excerpt, parsePluginError } from "./result.ts";

export type CniCommand = "ADD" | "DEL" | "CHECK" | "GC" | "STATUS";

export interface Invocation {
  readonly command: CniCommand;
  /** Name of the plugin's binary. */
  readonly plugin: string;
  /** Directories that hold plugins, in the order in which they are searched. */
  readonly binDirs: readonly string[];
  /** CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME, CNI_ARGS. */
  readonly environment: Readonly<Record<string, string>>;
  /** The plugin's configuration, written to its standard input. */
  readonly input: string;
  readonly timeoutMs: number;
  /** For messages: `network "berth" for pod "default/web"`. */
  readonly subject: string;
}

/** What became of the process. */
interface Outcome {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Why berth killed it. */
  readonly stopped: "" | "time-out" | "output";
}

type PluginProcess = ChildProcessByStdio<Writable, Readable, Readable>;

const maxOutputBytes = 1024 * 1024;
const stderrTailBytes = 4096;
/** How long output may still arrive after the exit, when a process left behind holds the pipes open. */
const drainMs = 500;
/** How long a killed plugin may take to end. One that hangs in the kernel never does. */
const killMs = 2_000;
const fallbackPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The first executable of that name in the directories, or null. */
export async function findPlugin(plugin: string, binDirs: readonly string[]): Promise<string | null> {
  if (plugin === "" || plugin === "." || plugin === ".." || plugin.includes("/")) return null;
  for (const directory of binDirs) {
    const path = join(directory, plugin);
    const facts = await stat(path).catch(() => null);
    if (facts === null || !facts.isFile()) continue;
    const executable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (executable) return path;
  }
  return null;
}

/**
 * Runs the plugin and returns what it printed. Rejects with BerthError when there is no such plugin
 * (FAILED_PRECONDITION), when it did not end in time (DEADLINE_EXCEEDED), when it printed more than 1 MiB,
 * and when it failed; the message then has the plugin's own words.
 */
export async function invokePlugin(invocation: Invocation): Promise<string> {
  const binary = await findPlugin(invocation.plugin, invocation.binDirs);
  if (binary === null) {
    const places = invocation.binDirs.map((directory) => `"${directory}"`).join(", ");
    throw failure(invocation, "FAILED_PRECONDITION", `no such plugin in ${places}; install it there`);
  }
  const outcome = await runPlugin(binary, invocation);
  if (outcome.stopped === "" && outcome.exitCode === 0) return outcome.stdout;
  throw describeFailure(invocation, outcome);
}

function runPlugin(binary: string, invocation: Invocation): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const failed = (error: unknown) =>
      reject(failure(invocation, "INTERNAL", `execute "${binary}": ${errnoOf(error) ?? messageOf(error)}`));
    let child: PluginProcess;
    try {
      child = spawn(binary, [], {
        cwd: "/",
        env: {
          ...invocation.environment,
          CNI_COMMAND: invocation.command,
          CNI_PATH: invocation.binDirs.join(":"),
          PATH: process.env.PATH ?? fallbackPath,
        },
        // A process group of its own, so that a time-out also reaches the plugins that it calls.
        detached: true,
        stdio: ["pipe", "pipe", "pipe"],
      });
    } catch (error) {
      failed(error);
      return;
    }
    child.once("error", failed);
    // A plugin need not read all of its input; what it does instead shows in its exit status.
    child.stdin.on("error", () => {});
    child.stdin.end(invocation.input);
    collect(child, invocation.timeoutMs, resolve);
  });
}

function collect(child: PluginProcess, timeoutMs: number, done: (outcome: Outcome) => void): void {
  const stdout: Buffer[] = [];
  let stdoutBytes = 0;
  let stderr = Buffer.alloc(0);
  let stopped: Outcome["stopped"] = "";
  const outcome = (exitCode: number | null, signal: NodeJS.Signals | null): Outcome => {
    const text = Buffer.concat(stdout).toString("utf8");
    return { exitCode, signal, stdout: text, stderr: stderr.toString("utf8"), stopped };
  };
  let unkillable: NodeJS.Timeout | undefined;
  const stop = (why: Outcome["stopped"]) => {
    if (stopped !== "") return;
    stopped = why;
    killGroup(child);
    unkillable = setTimeout(() => done(outcome(null, null)), killMs);
  };
  const timer = setTimeout(() => stop("time-out"), timeoutMs);
  child.stdout.on("data", (chunk: Buffer) => {
    stdoutBytes += chunk.length;
    if (stdoutBytes <= maxOutputBytes) stdout.push(chunk);
    else stop("output");
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stderr = Buffer.concat([stderr, chunk]).subarray(-stderrTailBytes);
  });
  child.once("exit", (exitCode, signal) => {
    clearTimeout(timer);
    clearTimeout(unkillable);
    const drain = setTimeout(() => {
      child.stdout.destroy();
      child.stderr.destroy();
    }, drainMs);
    child.once("close", () => {
      clearTimeout(drain);
      done(outcome(exitCode, signal));
    });
  });
}

/** The process and what it started. One that cannot be killed (ESRCH: gone already) is still waited for. */
function killGroup(child: PluginProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    child.kill("SIGKILL");
  }
}

function describeFailure(invocation: Invocation, outcome: Outcome): BerthError {
  const stderr = excerpt(outcome.stderr);
  const tail = stderr === "" ? "" : `; it wrote to stderr: ${stderr}`;
  if (outcome.stopped === "time-out") {
    const seconds = invocation.timeoutMs / 1000;
    const end =
      outcome.signal === null && outcome.exitCode === null ? "killed, but it hangs in the kernel" : "killed";
    return failure(invocation, "DEADLINE_EXCEEDED", `not done within ${seconds} s, ${end}${tail}`);
  }
  if (outcome.stopped === "output") {
    return failure(invocation, "INTERNAL", `printed more than ${maxOutputBytes} bytes, killed${tail}`);
  }
  const error = parsePluginError(outcome.stdout);
  if (error !== null) {
    const details = error.details === "" ? "" : `: ${error.details}`;
    const text = `${error.message}${details} (CNI error ${error.code})${tail}`;
    return failure(invocation, codeOfPluginError(error.code), text);
  }
  const end = outcome.signal === null ? `exit status ${outcome.exitCode}` : `killed by ${outcome.signal}`;
  const printed = excerpt(outcome.stdout);
  return failure(invocation, "INTERNAL", `${end}${printed === "" ? "" : `, printed: ${printed}`}${tail}`);
}

/** CNI spec, section 5: 7 is a configuration that the plugin rejects, 11 and 50 ask to try again later. */
function codeOfPluginError(code: number): ErrorCode {
  if (code === 7) return "FAILED_PRECONDITION";
  return code === 11 || code === 50 || code === 51 ? "UNAVAILABLE" : "INTERNAL";
}

function failure(invocation: Invocation, code: ErrorCode, what: string): BerthError {
  const { command, plugin, subject } = invocation;
  return new BerthError(code, `${subject}: CNI ${command} by plugin "${plugin}": ${what}`);
}
