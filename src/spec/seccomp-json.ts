// Strict reading of a JSON object: every key is asked for by its type, and what nobody asked for is an error.

import { BerthError } from "../lib/errors.ts";

export class JsonObject {
  readonly #value: Record<string, unknown>;
  readonly #place: string;
  readonly #read = new Set<string>();

  constructor(value: unknown, place: string) {
    this.#place = place;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new BerthError("INVALID_ARGUMENT", `${place}: must be an object`);
    }
    this.#value = value as Record<string, unknown>;
  }

  /** A string, "" when absent. */
  text(key: string): string {
    const value = this.#take(key) ?? "";
    if (typeof value !== "string") throw this.invalid(key, "must be a string");
    return value;
  }

  /** A whole number. A larger one than a double holds exactly is refused, not rounded. */
  number(key: string): bigint | undefined {
    const value = this.#take(key);
    if (value === undefined || value === null) return undefined;
    if (typeof value !== "number" || !Number.isSafeInteger(value)) {
      throw this.invalid(key, "must be a whole number below 2^53");
    }
    return BigInt(value);
  }

  strings(key: string): string[] {
    return this.#list(key).map((entry) => {
      if (typeof entry !== "string") throw this.invalid(key, "must be a list of strings");
      return entry;
    });
  }

  object(key: string): JsonObject | undefined {
    const value = this.#take(key);
    return value === undefined || value === null ? undefined : new JsonObject(value, `${this.#place}.${key}`);
  }

  objects(key: string): JsonObject[] {
    return this.#list(key).map((entry, index) => new JsonObject(entry, `${this.#place}.${key}[${index}]`));
  }

  /** Keys that say nothing beyond the others. */
  ignore(...keys: readonly string[]): void {
    for (const key of keys) this.#read.add(key);
  }

  /** Throws when the object has a key that was not read. */
  finish(): void {
    const unknown = Object.keys(this.#value).find((key) => !this.#read.has(key));
    if (unknown !== undefined) throw this.invalid(unknown, "unknown key");
  }

  invalid(key: string, why: string): BerthError {
    return new BerthError("INVALID_ARGUMENT", `${this.#place}.${key}: ${why}`);
  }

  unimplemented(key: string, value: string): BerthError {
    return new BerthError(
      "UNIMPLEMENTED",
      `${this.#place}.${key}: berth does not support ${JSON.stringify(value)}`,
    );
  }

  #list(key: string): unknown[] {
    const value = this.#take(key) ?? [];
    if (!Array.isArray(value)) throw this.invalid(key, "must be a list");
    return value;
  }

  #take(key: string): unknown {
    this.#read.add(key);
    return Object.hasOwn(this.#value, key) ? this.#value[key] : undefined;
  }
}
