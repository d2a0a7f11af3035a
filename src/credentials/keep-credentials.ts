// Writes docker's config.json for `berth login` and `berth logout`, keeping whatever else is in it.

import { randomBytes } from "node:crypto";
import { mkdir, readFile, realpath } from "node:fs/promises";
import { dirname } from "node:path";
import { replaceFile } from "../lib/durable-file.ts";
import { BerthError, errnoOf, messageOf } from "../lib/errors.ts";
import type { RegistryAuth } from "../types/image.ts";
import { eraseFromHelper, storeInHelper } from "./credential-helper.ts";
import { helperOf, hostOfKey, keyOfHost, parseDockerConfig } from "./docker-config.ts";

/** Keeps `auth` for `host`; returns where: the file, or the helper. */
export async function keepCredentials(path: string, host: string, auth: RegistryAuth): Promise<string> {
  const config = await readForChange(path);
  const helper = helperOf(config, host);
  const key = keyOfHost(host);
  const auths = { ...config.auths };
  if (helper === undefined) {
    const pair = Buffer.from(`${auth.username}:${auth.password}`).toString("base64");
    auths[key] = { auth: pair, ...(auth.identityToken === "" ? {} : { identitytoken: auth.identityToken }) };
  } else {
    await storeInHelper(helper, host, auth);
    // Docker notes so which registries the helper knows.
    auths[key] = {};
  }
  await replace(path, { ...config, auths });
  return helper === undefined ? path : `docker-credential-${helper}`;
}

/** Forgets those of `host`; false when there were none. */
export async function forgetCredentials(path: string, host: string): Promise<boolean> {
  const config = await readForChange(path);
  const helper = helperOf(config, host);
  const erased = helper === undefined ? false : await eraseFromHelper(helper, host);
  const auths = Object.entries(config.auths ?? {});
  const left = auths.filter(([key]) => hostOfKey(key) !== host);
  if (left.length < auths.length) await replace(path, { ...config, auths: Object.fromEntries(left) });
  return erased || left.length < auths.length;
}

async function readForChange(path: string): Promise<ReturnType<typeof parseDockerConfig>> {
  try {
    return parseDockerConfig(await readFile(path, "utf8"));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return {};
    throw new BerthError("FAILED_PRECONDITION", `read credentials "${path}": ${messageOf(error)}`);
  }
}

/** Old or new, whole either way; for the owner alone. */
async function replace(path: string, config: object): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  // Some keep a link to a file that is elsewhere: it stays a link.
  const target = await realpath(path).catch(() => path);
  const fresh = `${target}.${randomBytes(6).toString("hex")}`;
  try {
    await replaceFile(target, fresh, `${JSON.stringify(config, null, "\t")}\n`);
  } catch (error) {
    throw new BerthError("FAILED_PRECONDITION", `write credentials "${path}": ${messageOf(error)}`);
  }
}
