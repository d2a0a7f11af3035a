// WWW-Authenticate (RFC 9110, 11.6.1), read in one pass over hostile text.

export interface Challenge {
  /** Lower case: "bearer", "basic". */
  readonly scheme: string;
  /** Names in lower case; the first of two equal names counts. */
  readonly parameters: ReadonlyMap<string, string>;
}

const maxLength = 8192;
const token = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const spaces = /[ \t]*/y;
/** token68 is letters, digits and a few signs, then only "=" up to the next comma. */
const token68Rest = /[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|$)/y;

/** The challenges of one header or several of the same name. Malformed text ends the list, nothing throws. */
export function parseChallenges(header: string | readonly string[] | undefined): Challenge[] {
  const texts = typeof header === "string" ? [header] : (header ?? []);
  return texts.flatMap((text) => (text.length > maxLength ? [] : new Reader(text).challenges()));
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  challenges(): Challenge[] {
    const found: { scheme: string; parameters: Map<string, string> }[] = [];
    for (;;) {
      while (this.#take(spaces) !== undefined && this.#skip(","));
      const word = this.#take(token);
      if (word === undefined) return found;
      const value = this.#value();
      const current = found.at(-1);
      if (value === undefined) {
        found.push({ scheme: word.toLowerCase(), parameters: new Map() });
        this.#token68();
      } else if (current === undefined || value === null) {
        return found;
      } else if (!current.parameters.has(word.toLowerCase())) {
        current.parameters.set(word.toLowerCase(), value);
      }
    }
  }

  /** The value after "=": undefined without "=", null when it is broken. */
  #value(): string | null | undefined {
    const start = this.#at;
    this.#take(spaces);
    if (!this.#skip("=")) {
      this.#at = start;
      return undefined;
    }
    this.#take(spaces);
    return this.#skip('"') ? this.#quoted() : (this.#take(token) ?? null);
  }

  #quoted(): string | null {
    let value = "";
    while (this.#at < this.#text.length) {
      const char = this.#text[this.#at++];
      if (char === '"') return value;
      value += char === "\\" ? (this.#text[this.#at++] ?? "") : char;
    }
    return null;
  }

  /** Skips the token68 of a scheme that has one: "Negotiate abc==". */
  #token68(): void {
    this.#take(spaces);
    const start = this.#at;
    const word = this.#take(token68Rest);
    // A word without "=" at the end that stands alone is more likely the next scheme.
    if (word !== undefined && !word.trimEnd().endsWith("=")) this.#at = start;
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text)?.[0];
    if (match !== undefined) this.#at += match.length;
    return match;
  }

  #skip(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }
}
