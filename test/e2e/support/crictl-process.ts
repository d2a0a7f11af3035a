// crictl as an administrator uses it at a terminal or in a pipe: with input, and for as long as wanted.

import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import type { Scratch } from "./scratch.ts";

const CRICTL = join(import.meta.dirname, "../../../out/tools/crictl");
const TIMEOUT_MS = 60_000;

export class CrictlProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<number>;
  #stdout: Buffer[] = [];
  #stderr: Buffer[] = [];

  /** `atTerminal` runs it on a pseudo-terminal (script), where -t works. */
  constructor(scratch: Scratch, args: readonly string[], options: { atTerminal?: boolean } = {}) {
    const endpoint = `unix://${scratch.socket}`;
    const config = ["--config", join(scratch.folder, "crictl.yaml"), "--timeout", "60s"];
    const whole = [CRICTL, ...config, "--runtime-endpoint", endpoint, "--image-endpoint", endpoint, ...args];
    const quoted = whole.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
    const command = options.atTerminal
      ? ["script", "-qec", `stty rows 33 cols 77; ${quoted}`, "/dev/null"]
      : whole;
    const child = spawn(command[0] as string, command.slice(1), { stdio: "pipe" });
    child.stdout.on("data", (chunk: Buffer) => this.#stdout.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => this.#stderr.push(chunk));
    // One that ends early does not read its input.
    child.stdin.on("error", () => {});
    const late = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
    this.ended = new Promise((resolve) => {
      child.once("close", (code) => {
        clearTimeout(late);
        resolve(code ?? 255);
      });
    });
    this.child = child;
  }

  get stdout(): Buffer {
    return Buffer.concat(this.#stdout);
  }

  get stderr(): string {
    return Buffer.concat(this.#stderr).toString();
  }

  write(input: string | Uint8Array): void {
    this.child.stdin?.write(input);
  }

  /** Ends its input and waits for its end. */
  async finish(): Promise<{ code: number; stdout: Buffer; stderr: string }> {
    this.child.stdin?.end();
    const code = await this.ended;
    return { code, stdout: this.stdout, stderr: this.stderr };
  }
}
