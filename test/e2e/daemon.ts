// A berthd of its own for an end-to-end test: on scratch directories, with a cgroup, a bridge and a subnet
// that nothing else uses, and removed with all that it made.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type CriClient, connectCri, type Ran, runBerth, runCrictl } from "./support/clients.ts";
import { inventory, leaksSince } from "./support/leaks.ts";
import { makeScratch, removeScratch, type Scratch, type ScratchOptions } from "./support/scratch.ts";

const project = join(import.meta.dirname, "../..");
const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 30_000;

let bundled = false;

/** Bundles once in this process, so that what is tested is what the sources say. */
function bundle(): string {
  if (!bundled) execFileSync(process.execPath, [join(project, "scripts/bundle.mjs")], { stdio: "pipe" });
  bundled = true;
  return join(project, "out/berthd.mjs");
}

export class Daemon {
  readonly scratch: Scratch;
  #child: ChildProcess | null = null;
  #cri: CriClient | null = null;

  constructor(options: ScratchOptions = {}) {
    this.scratch = makeScratch(options);
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Starts berthd and waits until it answers. Rejects with the end of its log when it ends instead. */
  async start(env: Readonly<Record<string, string>> = {}): Promise<this> {
    const { scratch } = this;
    const log = openSync(scratch.log, "a");
    const flags = ["root", "state", "socket", "config"] as const;
    const args = flags.flatMap((flag) => [`--${flag}`, scratch[flag]]);
    const child = spawn(process.execPath, [bundle(), ...args], {
      cwd: "/",
      env: { ...process.env, ...env },
      stdio: ["ignore", log, log],
      detached: true,
    });
    closeSync(log);
    this.#child = child;
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!(await answers(scratch.socket))) {
      if (hasEnded(child)) {
        this.#child = null;
        throw new Error(`berthd ended (${child.exitCode ?? child.signalCode}):\n${this.tail()}`);
      }
      if (Date.now() > deadline) throw new Error(`berthd does not answer:\n${this.tail()}`);
      await sleep(5);
    }
    this.#cri = connectCri(scratch.socket);
    return this;
  }

  /** The end of its log. */
  tail(lines = 20): string {
    const text = existsSync(this.scratch.log) ? readFileSync(this.scratch.log, "utf8") : "";
    return text.trim().split("\n").slice(-lines).join("\n");
  }

  /** Waits until the process is gone; returns its exit code, or its signal. */
  async ended(): Promise<number | string> {
    const child = this.#child;
    if (child === null) return 0;
    const late = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    if (!hasEnded(child)) await new Promise((resolve) => child.once("exit", resolve));
    clearTimeout(late);
    this.#cri?.close();
    this.#cri = null;
    this.#child = null;
    return child.exitCode ?? child.signalCode ?? "";
  }

  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<number | string> {
    this.#child?.kill(signal);
    return await this.ended();
  }

  async restart(env: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.stop("SIGKILL");
    await this.start(env);
  }

  /** A CRI call, as RuntimeService and ImageService name it ("runPodSandbox"). */
  async ask<Answer = unknown>(method: string, request: object, timeoutMs = 60_000): Promise<Answer> {
    if (this.#cri === null) throw new Error(`${method}: the daemon does not run`);
    return await this.#cri.ask<Answer>(method, request, { timeoutMs });
  }

  /** crictl's output without the last newline; rejects with what it said when it fails. */
  async crictl(...args: string[]): Promise<string> {
    const ran = await this.tryCrictl(...args);
    if (ran.code === 0) return ran.stdout.trimEnd();
    throw new Error(`crictl ${args.join(" ")}: exit code ${ran.code}\n${ran.stderr}${ran.stdout}`);
  }

  tryCrictl(...args: string[]): Promise<Ran> {
    return runCrictl(this.scratch, args);
  }

  /** berth's output; rejects with what it said when it fails. */
  async berth(...args: string[]): Promise<string> {
    const ran = await this.tryBerth(...args);
    if (ran.code === 0) return ran.stdout;
    throw new Error(`berth ${args.join(" ")}: exit code ${ran.code}\n${ran.stderr}${ran.stdout}`);
  }

  tryBerth(...args: string[]): Promise<Ran> {
    return runBerth(this.scratch, args);
  }

  /** What the daemon has made so far, for `leaks`. */
  inventory(): string[] {
    return inventory(this.scratch, this.pid);
  }

  /** What is there beyond `before`, and what is missing, once the daemon had time to clear up. */
  leaks(before: readonly string[], settleMs?: number): Promise<string[]> {
    return leaksSince(before, () => this.inventory(), settleMs);
  }

  /** Removes all pods, stops, and removes every trace. Also after a test that failed. */
  async remove(): Promise<void> {
    const child = this.#child;
    try {
      if (child !== null && hasEnded(child)) {
        throw new Error(`berthd ended by itself (${child.exitCode ?? child.signalCode}):\n${this.tail()}`);
      }
      if (this.#cri !== null) await this.#removePods();
    } finally {
      await this.stop();
      await removeScratch(this.scratch);
    }
  }

  async #removePods(): Promise<void> {
    const { items } = await this.ask<{ items: { id: string }[] }>("listPodSandbox", {});
    await Promise.all(items.map(({ id }) => this.ask("removePodSandbox", { podSandboxId: id })));
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(socket);
    connection.once("connect", () => {
      connection.destroy();
      resolve(true);
    });
    connection.once("error", () => resolve(false));
  });
}
