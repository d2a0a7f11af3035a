// Compiled seccomp programs by their rules. Compiling takes milliseconds, and a node uses a handful of
// profiles.

import { createHash } from "node:crypto";
import type { SeccompKernel, SeccompRules } from "../kernel/kernel.ts";

/** More profiles than a node uses; a client that invents one per container cannot fill the memory. */
const MAX_PROGRAMS = 64;

export class SeccompCache {
  readonly #kernel: SeccompKernel;
  readonly #programs = new Map<string, Promise<Uint8Array>>();

  constructor(kernel: SeccompKernel) {
    this.#kernel = kernel;
  }

  /**
   * The program of `rules`. `key` names the rules when the caller knows a short name for them; else they are
   * hashed.
   */
  get(rules: () => SeccompRules, key?: string): Promise<Uint8Array> {
    if (key !== undefined) return this.#find(`name:${key}`, rules);
    const made = rules();
    return this.#find(hashOf(made), () => made);
  }

  #find(key: string, rules: () => SeccompRules): Promise<Uint8Array> {
    const known = this.#programs.get(key);
    if (known !== undefined) {
      this.#programs.delete(key);
      this.#programs.set(key, known);
      return known;
    }
    const compiled = this.#kernel.compileSeccomp(rules());
    this.#programs.set(key, compiled);
    compiled.catch(() => this.#programs.delete(key));
    const oldest = this.#programs.keys().next().value;
    if (this.#programs.size > MAX_PROGRAMS && oldest !== undefined) this.#programs.delete(oldest);
    return compiled;
  }
}

function hashOf(rules: SeccompRules): string {
  const text = JSON.stringify(rules, (_, value) => (typeof value === "bigint" ? `${value}n` : value));
  return createHash("sha256").update(text).digest("hex");
}
