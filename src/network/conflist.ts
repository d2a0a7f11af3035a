// Network configurations (CNI spec, section 1): parsing and checking. Reading them from the
// configuration directory is confdir.ts.

import { BerthError } from "../lib/errors.ts";

export type JsonObject = { readonly [key: string]: unknown };

/** Versions of the CNI specification that berth speaks, oldest first. */
export const cniVersions = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;
export type CniVersion = (typeof cniVersions)[number];

/** True when `version` is `least` or a later one. */
export function isAtLeast(version: CniVersion, least: CniVersion): boolean {
  return cniVersions.indexOf(version) >= cniVersions.indexOf(least);
}

/** One plugin of a list. `config` holds every key as the file has it. */
export interface PluginConfig {
  /** Name of the plugin's binary: no slash. */
  readonly type: string;
  /** Name of the address management plugin that this one calls, or "". */
  readonly ipamType: string;
  /** Capabilities that the plugin declares: it wants them in runtimeConfig. */
  readonly capabilities: readonly string[];
  readonly config: JsonObject;
}

export interface NetworkList {
  readonly name: string;
  /** The version in which plugins are called. */
  readonly cniVersion: CniVersion;
  readonly plugins: readonly PluginConfig[];
  /** When false (the default of CNI 1.1), "<name>/*.conf" beside the file are added to the list. */
  readonly loadOnlyInlinedPlugins: boolean;
  /** The administrator wants no CHECK, no GC: a plugin does them wrong. */
  readonly disableCheck: boolean;
  readonly disableGC: boolean;
}

const maxPlugins = 64;
/** CNI spec, section 1: "must start with an alphanumeric character, …". */
const networkName = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;
const pluginType = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

/**
 * Reads one configuration: a list ("plugins") or a single plugin ("type"), which becomes a list of one.
 * Throws BerthError FAILED_PRECONDITION that says which key is wrong; the caller adds which file.
 */
export function parseNetworkList(text: string): NetworkList {
  const document = parseObject(text);
  const name = stringOf(document, "name");
  if (!networkName.test(name)) {
    throw invalid(`"name" is ${quote(name)}; it must be letters, digits, "_", "." or "-"`);
  }
  const list = document.plugins !== undefined;
  const loadOnlyInlinedPlugins = !list || flagOf(document, "loadOnlyInlinedPlugins");
  const cniVersion = chooseVersion(document);
  const plugins = list ? pluginsOf(document.plugins) : [parsePlugin(document, "the configuration")];
  if (plugins.length === 0 && loadOnlyInlinedPlugins) throw invalid(`"plugins" is empty`);
  const [disableCheck, disableGC] = [flagOf(document, "disableCheck"), flagOf(document, "disableGC")];
  return { name, cniVersion, plugins, loadOnlyInlinedPlugins, disableCheck, disableGC };
}

/** Reads the configuration of one plugin that belongs to a list (CNI 1.1, loadOnlyInlinedPlugins false). */
export function parsePluginFile(text: string): PluginConfig {
  return parsePlugin(parseObject(text), "the configuration");
}

/** The list as it is recorded with an attachment: parseNetworkList reads it back. */
export function serialiseNetworkList(list: NetworkList): string {
  return JSON.stringify({
    cniVersion: list.cniVersion,
    name: list.name,
    ...(list.disableCheck ? { disableCheck: true } : {}),
    ...(list.disableGC ? { disableGC: true } : {}),
    plugins: list.plugins.map((plugin) => plugin.config),
  });
}

function pluginsOf(value: unknown): PluginConfig[] {
  if (!Array.isArray(value)) throw invalid(`"plugins" must be an array`);
  if (value.length > maxPlugins) throw invalid(`"plugins" has more than ${maxPlugins} entries`);
  return value.map((entry, index) => {
    if (!isObject(entry)) throw invalid(`plugin ${index} must be an object`);
    return parsePlugin(entry, `plugin ${index}`);
  });
}

function parsePlugin(config: JsonObject, where: string): PluginConfig {
  const type = config.type;
  if (typeof type !== "string" || type === "") {
    throw invalid(`${where} has no "type"; expected the name of a CNI plugin`);
  }
  if (!pluginType.test(type)) {
    throw invalid(`${where} has "type" ${quote(type)}; it must be the plain name of a plugin's binary`);
  }
  return { type, ipamType: ipamTypeOf(config, type), capabilities: capabilitiesOf(config, type), config };
}

function ipamTypeOf(config: JsonObject, type: string): string {
  const ipam = config.ipam;
  if (ipam === undefined || ipam === null) return "";
  if (!isObject(ipam)) throw invalid(`"ipam" of plugin "${type}" must be an object`);
  const ipamType = ipam.type;
  if (ipamType === undefined || ipamType === "") return "";
  if (typeof ipamType !== "string" || !pluginType.test(ipamType)) {
    throw invalid(`"ipam.type" of plugin "${type}" must be the plain name of a plugin's binary`);
  }
  return ipamType;
}

function capabilitiesOf(config: JsonObject, type: string): string[] {
  const capabilities = config.capabilities;
  if (capabilities === undefined || capabilities === null) return [];
  if (!isObject(capabilities)) throw invalid(`"capabilities" of plugin "${type}" must be an object`);
  return Object.keys(capabilities).filter((name) => capabilities[name] === true);
}

/** CNI 1.1 lists may offer several versions: the newest that berth knows is used. */
function chooseVersion(document: JsonObject): CniVersion {
  const offered: unknown[] = [];
  if (document.cniVersion !== undefined) offered.push(document.cniVersion);
  if (Array.isArray(document.cniVersions)) offered.push(...document.cniVersions);
  const chosen = cniVersions.findLast((version) => offered.includes(version));
  if (chosen !== undefined) return chosen;
  const known = cniVersions.join(", ");
  if (offered.length === 0) throw invalid(`"cniVersion" is missing; berth speaks ${known}`);
  throw invalid(`"cniVersion" is ${quote(offered[0])}; berth speaks ${known}`);
}

/** Flags may be written as strings (CNI spec, section 1). */
function flagOf(document: JsonObject, key: string): boolean {
  return document[key] === true || document[key] === "true";
}

function stringOf(document: JsonObject, key: string): string {
  const value = document[key];
  if (typeof value === "string" && value !== "") return value;
  throw invalid(value === undefined ? `"${key}" is missing` : `"${key}" must be a string that is not empty`);
}

function parseObject(text: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalid(`not JSON: ${(error as Error).message}`);
  }
  if (!isObject(value)) throw invalid("not a JSON object");
  return value;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function quote(value: unknown): string {
  return JSON.stringify(value).slice(0, 80);
}

function invalid(message: string): BerthError {
  return new BerthError("FAILED_PRECONDITION", message);
}
