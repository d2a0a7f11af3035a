// A bash in a mount namespace of its own that runs commands one by one and times them itself: what Node
// needs to start a process is not part of the figures, and a fork of this small shell costs little.

import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

/** `EPOCHREALTIME` has microseconds. Container processes must not inherit the pipe that answers go to. */
const LOOP = `
while IFS= read -r command; do
  begin=$EPOCHREALTIME
  eval "$command" </dev/null >"$LOG" 2>&1
  code=$?
  end=$EPOCHREALTIME
  printf '%s %s %s\\n' "$code" "$begin" "$end"
done`;

export class TimingShell {
  readonly #child: ChildProcess;
  readonly #log: string;
  #waiting: ((line: string | null) => void) | null = null;

  /** `log` gets the output of the last command; `commands` set the namespace up. */
  constructor(log: string, commands: readonly string[]) {
    this.#log = log;
    const script = ["set -e", ...commands, "set +e", LOOP].join("\n");
    const args = ["--mount", "--propagation", "private", "--", "bash", "-c", script];
    this.#child = spawn("unshare", args, {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, LC_ALL: "C", LOG: log },
      detached: true,
    });
    const lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream });
    lines.on("line", (line) => this.#answer(line));
    lines.on("close", () => this.#answer(null));
    this.#child.stdin?.on("error", () => this.#answer(null));
  }

  #answer(line: string | null): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.(line);
  }

  /** Runs one line and returns how long it took, in ms. Rejects with its output unless it ended with 0. */
  async run(command: string): Promise<number> {
    const answer = new Promise<string | null>((resolve) => {
      this.#waiting = resolve;
    });
    this.#child.stdin?.write(`${command}\n`);
    const line = await answer;
    if (line === null) throw new Error(`run "${command}": the shell ended`);
    const [code, begin, end] = line.split(" ").map(Number) as [number, number, number];
    if (code === 0) return (end - begin) * 1000;
    throw new Error(`run "${command}": exit code ${code}: ${readFileSync(this.#log, "utf8").slice(-2000)}`);
  }

  /** Ends the shell. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => this.#child.once("exit", () => resolve()));
    this.#child.stdin?.end();
    await gone;
  }
}
