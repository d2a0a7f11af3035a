// containerd's hosts.toml: https://github.com/containerd/containerd/blob/main/docs/hosts.md. Keys that are
// not in that document are passed over, as containerd does.

import { parse as parseToml } from "smol-toml";
import Type, { type Static } from "typebox";
import { Compile } from "typebox/compile";
import { PROXY_FORMS, PROXY_PATTERN } from "./proxies.ts";

export type Capability = "pull" | "resolve" | "push";

/** One `[host."…"]`, or the root of the file, which is about `server`. Paths are as the file has them. */
export interface HostEntry {
  /** Absent: the registry itself, under its own name. */
  readonly base?: URL;
  readonly capabilities: ReadonlySet<Capability>;
  readonly ca: readonly string[];
  /** Certificate and key; "" for a key that is in the certificate's file. */
  readonly client: readonly (readonly [string, string])[];
  readonly skipVerify: boolean;
  readonly headers: Readonly<Record<string, readonly string[]>>;
  readonly dialTimeoutMs?: number;
  readonly proxy?: string;
}

export interface HostsFile {
  /** In the order to try. */
  readonly hosts: readonly HostEntry[];
  readonly server: HostEntry;
}

const textOrList = Type.Union([Type.String(), Type.Array(Type.String())]);
const entryFields = {
  capabilities: Type.Optional(Type.Array(Type.String())),
  ca: Type.Optional(textOrList),
  client: Type.Optional(
    Type.Union([
      Type.String(),
      Type.Array(Type.Union([Type.String(), Type.Array(Type.String(), { minItems: 1, maxItems: 2 })])),
    ]),
  ),
  skip_verify: Type.Optional(Type.Boolean()),
  header: Type.Optional(Type.Record(Type.String(), textOrList)),
  override_path: Type.Optional(Type.Boolean()),
  dial_timeout: Type.Optional(Type.String()),
  proxy: Type.Optional(Type.String()),
};
const entrySchema = Type.Object(entryFields);
const fileSchema = Type.Object({
  ...entryFields,
  server: Type.Optional(Type.String()),
  host: Type.Optional(Type.Record(Type.String(), entrySchema)),
});
const validator = Compile(fileSchema);
type Entry = Static<typeof entrySchema>;

export const allCapabilities: ReadonlySet<Capability> = new Set(["pull", "resolve", "push"]);

/** Reads the file's text. Throws an Error that says which key is wrong; the caller knows the file's name. */
export function parseHostsToml(text: string): HostsFile {
  const table: unknown = parseToml(text);
  if (!validator.Check(table)) {
    const wrong = validator.Errors(table)[0];
    const key = (wrong?.instancePath ?? "").slice(1).replaceAll("/", ".").replaceAll("~1", "/");
    throw new Error(`key "${key}" ${wrong?.message ?? "is malformed"}`);
  }
  const { server, host = {}, ...own } = table;
  return {
    hosts: Object.entries(host).map(([url, entry]) => readEntry(`host."${url}"`, url, entry)),
    server: readEntry("server", server, own),
  };
}

function readEntry(at: string, url: string | undefined, entry: Entry): HostEntry {
  const proxy = entry.proxy === undefined ? {} : { proxy: proxyOf(at, entry.proxy) };
  const dialTimeoutMs = entry.dial_timeout === undefined ? undefined : durationOf(at, entry.dial_timeout);
  return {
    ...(url === undefined || url === "" ? {} : { base: baseOf(at, url, entry.override_path ?? false) }),
    capabilities: capabilitiesOf(at, entry.capabilities ?? []),
    ca: listOf(entry.ca),
    client: clientOf(entry.client),
    skipVerify: entry.skip_verify ?? false,
    headers: headersOf(at, entry.header ?? {}),
    ...(dialTimeoutMs === undefined ? {} : { dialTimeoutMs }),
    ...proxy,
  };
}

/** "/v2" is added to the path unless it ends in it or `override_path` says that it is whole. */
function baseOf(at: string, text: string, whole: boolean): URL {
  const full = /^https?:\/\//i.test(text) ? text : `https://${text}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  if (url === undefined || url.username !== "" || url.search !== "" || url.hash !== "") {
    throw new Error(`${at}: "${text}" is not the URL of a host`);
  }
  const path = url.pathname.replace(/\/+$/, "");
  const rooted = whole || path.endsWith("/v2") ? path : `${path}/v2`;
  return new URL(`${rooted}/`, url.origin);
}

function capabilitiesOf(at: string, names: readonly string[]): ReadonlySet<Capability> {
  if (names.length === 0) return allCapabilities;
  const known = names
    .map((name) => name.toLowerCase())
    // A newer word, for an API that berth does not use.
    .filter((name) => name !== "referrers");
  const strange = known.find((name) => !allCapabilities.has(name as Capability));
  if (strange !== undefined) throw new Error(`${at}: unknown capability "${strange}"`);
  return new Set(known as Capability[]);
}

function listOf(value: string | readonly string[] | undefined): readonly string[] {
  return value === undefined ? [] : typeof value === "string" ? [value] : value;
}

function clientOf(value: Entry["client"]): HostEntry["client"] {
  if (value === undefined) return [];
  if (typeof value === "string") return [[value, ""]];
  return value.map((one) => (typeof one === "string" ? [one, ""] : [one[0] ?? "", one[1] ?? ""]));
}

function headersOf(at: string, table: Readonly<Record<string, string | string[]>>): HostEntry["headers"] {
  const headers = Object.entries(table).map(([name, value]) => {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) throw new Error(`${at}: "${name}" is no header's name`);
    const values = listOf(value);
    if (values.some((one) => !/^[\t\x20-\x7e\x80-\xff]*$/.test(one))) {
      throw new Error(`${at}: the value of header "${name}" has control characters in it`);
    }
    return [name.toLowerCase(), values] as const;
  });
  return Object.fromEntries(headers);
}

const units: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Go's time.ParseDuration: "1s", "1m30s", "500ms". */
function durationOf(at: string, text: string): number {
  const parts = /^[+]?((?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h))+$/.test(text)
    ? [...text.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/g)]
    : [];
  const total = parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * (units[unit ?? ""] ?? 0), 0);
  if (parts.length > 0 && Number.isFinite(total))
    return Math.min(Math.max(1, Math.round(total)), 2 ** 31 - 1);
  throw new Error(`${at}: dial_timeout "${text}" is no duration such as "1s" or "500ms"`);
}

function proxyOf(at: string, text: string): string {
  if (new RegExp(PROXY_PATTERN).test(text) && URL.canParse(text)) return text;
  throw new Error(`${at}: proxy must be ${PROXY_FORMS}`);
}
