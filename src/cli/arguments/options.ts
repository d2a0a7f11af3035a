// The declarative table of one command's options, and what it makes of a command line. The rules are
// docker's: short flags combine (-it), a value follows its flag or sticks to it (-eA=1, --env=A=1),
// "--" ends the options, and for some commands the first plain argument does so too.

import { UsageError } from "../errors.ts";
import { suggestion } from "./suggest.ts";

export interface OptionSpec {
  readonly name: string;
  /** One letter. */
  readonly short?: string;
  /** "flag" takes no value, "text" one (the last counts), "list" one each time. */
  readonly kind: "flag" | "text" | "list";
  /** Word for the value in the help text; text and list only. */
  readonly value?: string;
  readonly help: string;
}

export type OptionTable = readonly OptionSpec[];

/** Options and plain arguments as a command line gave them. */
export class Parsed {
  readonly positional: string[] = [];
  readonly #values = new Map<string, string[]>();

  set(spec: OptionSpec, value: string): void {
    const values = this.#values.get(spec.name);
    if (values === undefined || spec.kind !== "list") this.#values.set(spec.name, [value]);
    else values.push(value);
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  flag(name: string): boolean {
    return this.#values.get(name)?.[0] === "true";
  }

  text(name: string): string | undefined {
    return this.#values.get(name)?.[0];
  }

  list(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  /** A whole number not below 0. @throws UsageError */
  number(name: string): number | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    if (!/^\d{1,9}$/.test(value))
      throw new UsageError(`invalid value "${value}" for --${name}: not a whole number`);
    return Number(value);
  }
}

export interface ParseRules {
  readonly options: OptionTable;
  /** Options end at the first plain argument. */
  readonly stopAtFirst?: boolean;
}

/** Reads `args` by the table. @throws UsageError naming the argument that is wrong */
export function parseArguments(args: readonly string[], rules: ParseRules): Parsed {
  const parsed = new Parsed();
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === "--") {
      parsed.positional.push(...rest);
      break;
    }
    if (arg.startsWith("--")) takeLong(arg, rest, rules.options, parsed);
    else if (arg.startsWith("-") && arg !== "-") takeShort(arg, rest, rules.options, parsed);
    else {
      parsed.positional.push(arg);
      if (!rules.stopAtFirst) continue;
      parsed.positional.push(...rest);
      break;
    }
  }
  return parsed;
}

function takeLong(arg: string, rest: string[], options: OptionTable, parsed: Parsed): void {
  const equals = arg.indexOf("=");
  const name = equals < 0 ? arg.slice(2) : arg.slice(2, equals);
  const given = equals < 0 ? undefined : arg.slice(equals + 1);
  const spec = options.find((option) => option.name === name);
  if (spec === undefined) {
    const near = suggestion(
      name,
      options.map((option) => option.name),
    );
    const hint = near === undefined ? "" : `; did you mean --${near}?`;
    throw new UsageError(`unknown flag: --${name}${hint}`, 125);
  }
  if (spec.kind === "flag") parsed.set(spec, readFlag(spec, given));
  else parsed.set(spec, given ?? valueAfter(`--${name}`, rest));
}

function takeShort(arg: string, rest: string[], options: OptionTable, parsed: Parsed): void {
  for (let at = 1; at < arg.length; at++) {
    const letter = arg[at] as string;
    const spec = options.find((option) => option.short === letter);
    if (spec === undefined) throw new UsageError(`unknown shorthand flag: "${letter}" in ${arg}`, 125);
    const after = arg.slice(at + 1);
    if (spec.kind !== "flag") {
      const value = after.startsWith("=") ? after.slice(1) : after;
      parsed.set(spec, after === "" ? valueAfter(`-${letter}`, rest) : value);
      return;
    }
    if (after.startsWith("=")) {
      parsed.set(spec, readFlag(spec, after.slice(1)));
      return;
    }
    parsed.set(spec, "true");
  }
}

function valueAfter(flag: string, rest: string[]): string {
  const value = rest.shift();
  if (value === undefined) throw new UsageError(`flag needs an argument: ${flag}`, 125);
  return value;
}

function readFlag(spec: OptionSpec, given: string | undefined): string {
  switch (given) {
    case undefined:
    case "true":
    case "1":
      return "true";
    case "false":
    case "0":
      return "false";
    default:
      throw new UsageError(`invalid value "${given}" for --${spec.name}: it is true or false`, 125);
  }
}
