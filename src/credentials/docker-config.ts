// Docker's config.json: which credentials it has for a registry, or which program to ask for them.

import { readFile } from "node:fs/promises";
import Type, { type Static } from "typebox";
import { Compile } from "typebox/compile";
import { BerthError, errnoOf, messageOf } from "../lib/errors.ts";
import type { RegistryAuth } from "../types/image.ts";

const nullable = <T extends Type.TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));
const entrySchema = Type.Object({
  auth: nullable(Type.String()),
  username: nullable(Type.String()),
  password: nullable(Type.String()),
  identitytoken: nullable(Type.String()),
  registrytoken: nullable(Type.String()),
});
const fileSchema = Type.Object({
  auths: nullable(Type.Record(Type.String(), entrySchema)),
  credsStore: nullable(Type.String()),
  credHelpers: nullable(Type.Record(Type.String(), Type.String())),
});
const validator = Compile(fileSchema);

/** Only what is about credentials; whoever writes the file keeps the rest. */
export type DockerConfig = Static<typeof fileSchema>;

const maxBytes = 4 * 1024 * 1024;
/** What docker calls its own registry in the file. */
export const dockerHubKey = "https://index.docker.io/v1/";

export const noAuth: RegistryAuth = {
  username: "",
  password: "",
  auth: "",
  serverAddress: "",
  identityToken: "",
  registryToken: "",
};

/** Reads the text of a config.json. Throws an Error that names the key, but repeats no value. */
export function parseDockerConfig(text: string): DockerConfig & Record<string, unknown> {
  let value: unknown;
  try {
    value = text.trim() === "" ? {} : JSON.parse(text);
  } catch {
    // The parser's message quotes the text, which holds secrets.
    throw new Error("it is not JSON");
  }
  if (validator.Check(value)) return value as DockerConfig & Record<string, unknown>;
  const wrong = validator.Errors(value)[0];
  const key = (wrong?.instancePath ?? "").slice(1).replaceAll("/", ".").replaceAll("~1", "/");
  throw new Error(`${key === "" ? "it" : `key "${key}"`} ${wrong?.message ?? "is malformed"}`);
}

/** The file's content; null when there is none. FAILED_PRECONDITION when it cannot be used. */
export async function readDockerConfig(
  path: string,
): Promise<(DockerConfig & Record<string, unknown>) | null> {
  try {
    const text = await readFile(path, "utf8");
    if (text.length > maxBytes) throw new Error(`it is longer than ${maxBytes} bytes`);
    return parseDockerConfig(text);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return null;
    throw new BerthError("FAILED_PRECONDITION", `read credentials "${path}": ${messageOf(error)}`);
  }
}

/** Under what docker keeps the credentials of `host`. */
export function keyOfHost(host: string): string {
  return host === "docker.io" ? dockerHubKey : host;
}

/** The host that a key is about: "https://index.docker.io/v1/" is "docker.io". */
export function hostOfKey(key: string): string {
  const bare = key.replace(/^[a-z]+:\/\//i, "").replace(/\/.*$/s, "");
  return bare === "index.docker.io" || bare === "registry-1.docker.io" ? "docker.io" : bare;
}

/** Name of the program to ask for `host` (without "docker-credential-"), or undefined. */
export function helperOf(config: DockerConfig, host: string): string | undefined {
  const named = valueFor(config.credHelpers ?? {}, host);
  const helper = named ?? config.credsStore ?? "";
  return helper === "" ? undefined : helper;
}

/** What the file itself holds for `host`. */
export function entryOf(config: DockerConfig, host: string): RegistryAuth | undefined {
  const entry = valueFor(config.auths ?? {}, host);
  if (entry === undefined) return undefined;
  const auth: RegistryAuth = {
    username: entry.username ?? "",
    password: entry.password ?? "",
    auth: entry.auth ?? "",
    serverAddress: host,
    identityToken: entry.identitytoken ?? "",
    registryToken: entry.registrytoken ?? "",
  };
  const empty = [auth.username, auth.auth, auth.identityToken, auth.registryToken].every(
    (part) => part === "",
  );
  return empty ? undefined : auth;
}

/** By docker's own key, else by any that is about the same host. */
function valueFor<T>(table: Readonly<Record<string, T>>, host: string): T | undefined {
  const key = keyOfHost(host);
  if (Object.hasOwn(table, key)) return table[key];
  return Object.entries(table).find(([other]) => hostOfKey(other) === host)?.[1];
}
