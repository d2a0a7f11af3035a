// The credentials of one pull, made ready for one registry.

import { createHash } from "node:crypto";
import { hostOfKey } from "../credentials/docker-config.ts";
import type { RegistryAuth } from "../types/image.ts";

export interface Credentials {
  readonly username: string;
  readonly password: string;
  /** OAuth2 refresh token; "" for none. */
  readonly identityToken: string;
  /** A bearer token to send as it is; "" for none. */
  readonly registryToken: string;
}

/**
 * What `auth` holds for the registry `host`, or undefined: credentials with a server address are for that
 * server alone (CRI AuthConfig).
 */
export function credentialsFor(auth: RegistryAuth | undefined, host: string): Credentials | undefined {
  if (auth === undefined) return undefined;
  if (auth.serverAddress !== "" && hostOfKey(auth.serverAddress) !== host) return undefined;
  let { username, password } = auth;
  if (username === "" && auth.auth !== "") {
    const decoded = Buffer.from(auth.auth, "base64").toString("utf8").replaceAll("\0", "");
    const colon = decoded.indexOf(":");
    username = colon < 0 ? decoded : decoded.slice(0, colon);
    password = colon < 0 ? "" : decoded.slice(colon + 1);
  }
  const { identityToken, registryToken } = auth;
  if (username === "" && identityToken === "" && registryToken === "") return undefined;
  return { username, password, identityToken, registryToken };
}

export function basicHeader(credentials: Credentials): string {
  return `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString("base64")}`;
}

/** A key for caches that does not hold the credentials themselves. */
export function fingerprint(auth: RegistryAuth | Credentials | undefined): string {
  return auth === undefined ? "" : createHash("sha256").update(JSON.stringify(auth)).digest("hex");
}
