// The keys that detach from a container: ctrl-p ctrl-q unless the user says otherwise.

import { UsageError } from "../errors.ts";

export const DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q";

/** Bytes of "ctrl-p,ctrl-q" or "a,b"; "" for none. @throws UsageError */
export function readDetachKeys(text: string): Buffer {
  if (text === "") return Buffer.alloc(0);
  const codes = text.split(",").map((key) => {
    const control = /^ctrl-([a-z@[\\\]^_])$/i.exec(key)?.[1];
    if (control !== undefined) return control.toUpperCase().charCodeAt(0) & 0x1f;
    if (/^[\x20-\x7e]$/.test(key)) return key.charCodeAt(0);
    throw new UsageError(
      `invalid value "${text}" for --detach-keys: expected keys such as ctrl-p,ctrl-q`,
      125,
    );
  });
  return Buffer.from(codes);
}

/** Watches the input for the keys. What could be their beginning is held back until it is known. */
export class DetachFilter {
  readonly #keys: Buffer;
  #matched = 0;

  constructor(keys: Buffer) {
    this.#keys = keys;
  }

  /** What of `chunk` to pass on, and whether the keys are complete. */
  push(chunk: Buffer): { data: Buffer; detached: boolean } {
    if (this.#keys.length === 0) return { data: chunk, detached: false };
    const data: number[] = [];
    for (const byte of chunk) {
      if (byte !== this.#keys[this.#matched]) {
        data.push(...this.#keys.subarray(0, this.#matched));
        this.#matched = 0;
      }
      if (byte !== this.#keys[this.#matched]) data.push(byte);
      else if (++this.#matched === this.#keys.length) return { data: Buffer.from(data), detached: true };
    }
    return { data: Buffer.from(data), detached: false };
  }
}
