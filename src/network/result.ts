// Results of plugins (CNI spec, section 5). A plugin is a program that somebody installed: what it
// prints is checked before anybody believes it.

import { isIP } from "node:net";
import { BerthError } from "../lib/errors.ts";
import { type CniVersion, cniVersions, isAtLeast, isObject, type JsonObject } from "./conflist.ts";

const maxAddresses = 64;

/** The error object of a plugin that failed (CNI spec, section 5, "Error"). */
export interface PluginError {
  readonly code: number;
  readonly message: string;
  readonly details: string;
}

/**
 * Reads what ADD printed. Throws BerthError with what is wrong with it; the caller adds which plugin.
 * The result comes back in `version`, in which the next plugin and the DEL expect it.
 */
export function parseResult(text: string, version: CniVersion): JsonObject {
  if (text.trim() === "") throw broken("it printed no result");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw broken(`its result is not JSON: ${excerpt(text)}`);
  }
  if (!isObject(value)) throw broken(`its result is not a JSON object: ${excerpt(text)}`);
  const printed = value.cniVersion ?? version;
  if (!cniVersions.includes(printed as CniVersion)) {
    throw broken(`its result has "cniVersion" ${excerpt(JSON.stringify(printed))}, called was ${version}`);
  }
  const result = isAtLeast(printed as CniVersion, "0.3.0") ? value : fromFirstShape(value);
  checkAddresses(result);
  return inVersion(result, version);
}

/** Before 0.3.0 a result had one address of each family, `ip4` and `ip6`, each with its routes. */
function fromFirstShape({ ip4, ip6, ...rest }: JsonObject): JsonObject {
  const families = [ip4, ip6].filter((entry) => entry !== undefined && entry !== null);
  if (!families.every(isObject)) throw broken(`"ip4" or "ip6" of its result is not an object`);
  return {
    ...rest,
    ips: families.map(({ ip, gateway }) => ({ address: ip, ...(gateway === undefined ? {} : { gateway }) })),
    routes: families.flatMap(({ routes }) => (Array.isArray(routes) ? routes : [])),
  };
}

/** As addressesOf. Throws when there are none. */
export function requireAddresses(result: JsonObject, interfaceName: string): string[] {
  const addresses = addressesOf(result, interfaceName);
  if (addresses.length > 0) return addresses;
  throw broken(`the result has no address for interface "${interfaceName}"`);
}

/** Addresses of `interfaceName` without prefix length, in the plugin's order. */
export function addressesOf(result: JsonObject, interfaceName: string): string[] {
  const interfaces = Array.isArray(result.interfaces) ? result.interfaces : [];
  const addresses: string[] = [];
  for (const entry of entriesOf(result)) {
    const index = entry.interface;
    const owner = typeof index === "number" ? (interfaces[index] as JsonObject | undefined) : undefined;
    if (owner !== undefined && owner.name !== interfaceName) continue;
    addresses.push(String(entry.address).split("/")[0] as string);
  }
  return [...new Set(addresses)];
}

/** The error object in what a failed plugin printed, or null when there is none. */
export function parsePluginError(text: string): PluginError | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isObject(value) || typeof value.msg !== "string") return null;
  return {
    code: typeof value.code === "number" ? value.code : 0,
    message: excerpt(value.msg),
    details: typeof value.details === "string" ? excerpt(value.details) : "",
  };
}

/** Text of a plugin for an error message: one line, no control characters, not endless. */
export function excerpt(text: string): string {
  const line = text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, " ").trim();
  return line.length > 1024 ? `${line.slice(0, 1024)}…` : line;
}

function checkAddresses(result: JsonObject): void {
  if (result.interfaces !== undefined && result.interfaces !== null) {
    if (!Array.isArray(result.interfaces) || !result.interfaces.every(isObject)) {
      throw broken(`"interfaces" of its result is not a list of objects`);
    }
  }
  for (const entry of entriesOf(result)) {
    if (!isAddressWithPrefix(entry.address)) {
      const shown = excerpt(JSON.stringify(entry.address) ?? "undefined");
      throw broken(`its result has the address ${shown}; expected one such as "10.88.0.2/16"`);
    }
    checkIndex(entry.interface, result);
  }
}

function isAddressWithPrefix(value: unknown): boolean {
  const match = typeof value === "string" ? /^([^/%]+)\/(\d{1,3})$/.exec(value) : null;
  if (match === null) return false;
  const family = isIP(match[1] as string);
  return family !== 0 && Number(match[2]) <= (family === 4 ? 32 : 128);
}

function checkIndex(index: unknown, result: JsonObject): void {
  if (index === undefined || index === null) return;
  const count = Array.isArray(result.interfaces) ? result.interfaces.length : 0;
  if (Number.isInteger(index) && (index as number) >= 0 && (index as number) < count) return;
  throw broken(`its result has an address of interface ${excerpt(JSON.stringify(index))} of ${count}`);
}

function entriesOf(result: JsonObject): JsonObject[] {
  const entries = result.ips ?? [];
  if (!Array.isArray(entries)) throw broken(`"ips" of its result is not a list`);
  if (entries.length > maxAddresses) throw broken(`its result has more than ${maxAddresses} addresses`);
  if (!entries.every(isObject)) throw broken(`"ips" of its result is not a list of objects`);
  return entries;
}

/** Before 1.0.0 each address carried its family ("version": "4"); since then it must not. */
function inVersion(result: JsonObject, version: CniVersion): JsonObject {
  const old = version.startsWith("0.");
  const ips = entriesOf(result).map(({ version: _family, ...entry }) =>
    old
      ? { version: isIP(String(entry.address).split("/")[0] as string) === 6 ? "6" : "4", ...entry }
      : entry,
  );
  return { ...result, cniVersion: version, ips };
}

function broken(message: string): BerthError {
  return new BerthError("INTERNAL", message);
}
