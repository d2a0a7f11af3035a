// Answers a registry's challenges: Basic, and Bearer with a token from the realm that the registry names.

import { parseBoundedJson } from "../lib/bounded-json.ts";
import { messageOf } from "../lib/errors.ts";
import { SharedFlight } from "../lib/single-flight.ts";
import { isLocalAddress } from "./addresses.ts";
import type { Challenge } from "./challenge.ts";
import { connectionElsewhere } from "./connection.ts";
import { basicHeader, type Credentials, fingerprint } from "./credentials.ts";
import { type Endpoint, repositoryAt } from "./endpoint.ts";
import { printable, RegistryFailure } from "./failure.ts";
import { retryAfterMs } from "./retry.ts";
import type { HttpResponse, Transport } from "./transport.ts";

/** Who asks for what: a token is good for this alone. */
export interface Access {
  readonly endpoint: Endpoint;
  /** As references name it; "" for the registry as a whole. */
  readonly repository: string;
  readonly actions: "pull" | "pull,push";
  /** A repository whose blobs are mounted into this one. */
  readonly mountFrom?: string | undefined;
  /** Those for this endpoint alone: a mirror never gets the registry's. */
  readonly credentials: Credentials | undefined;
}

interface Token {
  readonly header: string;
  readonly expiresAt: number;
}

const maxTokens = 256;
const maxAnswerBytes = 1024 * 1024;
/** The lifetime of a token that does not tell its own (distribution, token specification). */
const defaultLifetimeSeconds = 60;

export class Authenticator {
  readonly #transport: Transport;
  readonly #tokens = new Map<string, Token>();
  readonly #fetches = new SharedFlight<string>();

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** The Authorization header that is known to be good, if any. */
  known(access: Access): string | undefined {
    const token = this.#tokens.get(keyOf(access));
    if (token === undefined || token.expiresAt > Date.now()) return token?.header;
    this.#tokens.delete(keyOf(access));
    return undefined;
  }

  /**
   * The Authorization header that answers `challenges`, or undefined when there is no answer: nothing that
   * we know of was asked for, or we have no credentials for it. `refused` is the header that did not do.
   */
  async answer(
    access: Access,
    challenges: Challenge[],
    refused: string | undefined,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const known = this.known(access);
    // Somebody else's request has got a new one meanwhile.
    if (known !== undefined && known !== refused) return known;
    this.#tokens.delete(keyOf(access));
    const bearer = challenges.find(({ scheme }) => scheme === "bearer");
    const { credentials } = access;
    if (bearer !== undefined) {
      if (credentials !== undefined && credentials.registryToken !== "") {
        return this.#keep(access, `Bearer ${checkedToken(access, credentials.registryToken)}`, Infinity);
      }
      const fetch = (joined: AbortSignal) => this.#fetchToken(access, bearer, joined);
      return await this.#fetches.join(keyOf(access), signal, fetch);
    }
    const wantsBasic = challenges.some(({ scheme }) => scheme === "basic");
    if (!wantsBasic || credentials === undefined || credentials.username === "") return undefined;
    return this.#keep(access, basicHeader(credentials), Infinity);
  }

  async #fetchToken(access: Access, challenge: Challenge, signal: AbortSignal): Promise<string> {
    const { credentials } = access;
    const realm = realmUrl(access, challenge);
    const query = new URLSearchParams();
    const service = challenge.parameters.get("service");
    if (service !== undefined) query.set("service", service);
    const scopes = scopesOf(access, challenge);
    const common = {
      url: realm,
      connection: connectionElsewhere(access.endpoint.connection, access.endpoint.base, realm),
      signal,
      doing: `get a token for registry "${access.endpoint.host}"`,
    };
    const refresh = credentials?.identityToken ?? "";
    if (refresh !== "") {
      if (scopes.length > 0) query.set("scope", scopes.join(" "));
      query.set("grant_type", "refresh_token");
      query.set("refresh_token", refresh);
      query.set("client_id", "berth");
      const headers = { "content-type": "application/x-www-form-urlencoded" };
      const body = query.toString();
      return await this.#readToken(
        access,
        await this.#transport.send({ ...common, method: "POST", headers, body }),
      );
    }
    for (const scope of scopes) query.append("scope", scope);
    for (const name of new Set(query.keys())) realm.searchParams.delete(name);
    for (const [name, value] of query) realm.searchParams.append(name, value);
    const named = credentials !== undefined && credentials.username !== "";
    const authorization = named ? basicHeader(credentials) : undefined;
    const request = { ...common, method: "GET" as const, headers: {}, authorization };
    return await this.#readToken(access, await this.#transport.send(request));
  }

  async #readToken(access: Access, response: HttpResponse): Promise<string> {
    if (response.status !== 200) {
      await response.discard();
      const denied = response.status >= 400 && response.status < 500 && response.status !== 429;
      const what =
        `get a token for registry "${access.endpoint.host}": ` +
        `"${response.url.origin}" answers ${response.status}`;
      if (denied) throw new RegistryFailure("PERMISSION_DENIED", `${what}; check the credentials`);
      throw new RegistryFailure("UNAVAILABLE", `RegistryUnavailable: ${what}; try again later`, {
        retryable: true,
        retryAfterMs: retryAfterMs(response.header("retry-after")),
      });
    }
    const answer = parseAnswer(access, await response.read(maxAnswerBytes, "the token"));
    const token = answer.token ?? answer.access_token;
    const seconds = typeof answer.expires_in === "number" ? answer.expires_in : defaultLifetimeSeconds;
    // Ten seconds early, so that a token does not run out between us and the registry.
    return this.#keep(access, `Bearer ${checkedToken(access, token)}`, Math.max(0, seconds - 10));
  }

  #keep(access: Access, header: string, seconds: number): string {
    const oldest = this.#tokens.keys().next();
    if (this.#tokens.size >= maxTokens && oldest.done !== true) this.#tokens.delete(oldest.value);
    this.#tokens.set(keyOf(access), { header, expiresAt: Date.now() + seconds * 1000 });
    return header;
  }
}

function keyOf(access: Access): string {
  const { endpoint, repository, actions, mountFrom = "", credentials } = access;
  return [endpoint.base.href, repository, actions, mountFrom, fingerprint(credentials)].join("\n");
}

/**
 * The realm is where credentials go, so the registry's word is not enough: https unless the registry itself
 * is spoken to in plain HTTP, and this machine's own addresses only for a registry on this machine.
 */
function realmUrl(access: Access, challenge: Challenge): URL {
  const text = challenge.parameters.get("realm") ?? "";
  const base = access.endpoint.base;
  const refuse = (why: string) =>
    new RegistryFailure(
      "PERMISSION_DENIED",
      `get a token for registry "${access.endpoint.host}": its realm "${printable(text)}" ${why}`,
    );
  if (!URL.canParse(text)) throw refuse("is not a URL");
  const realm = new URL(text);
  if (!/^https?:$/.test(realm.protocol)) throw refuse("is neither http nor https");
  if (realm.username !== "" || realm.password !== "") throw refuse("has credentials in it");
  if (realm.protocol === "http:" && base.protocol === "https:") throw refuse("would send them in the clear");
  const local = isLocalAddress(realm.hostname);
  if (local && !isLocalAddress(base.hostname) && realm.hostname !== base.hostname) {
    throw refuse("is an address of this machine");
  }
  realm.hash = "";
  return realm;
}

/** Never more than what we are about to do; the registry may only say how it calls the repository. */
function scopesOf(access: Access, challenge: Challenge): string[] {
  const { endpoint, repository, actions, mountFrom } = access;
  if (repository === "") return [];
  const asked = challenge.parameters.get("scope") ?? "";
  const name = /^repository:([^\s:,]+):[a-z,]+$/.exec(asked)?.[1] ?? repositoryAt(endpoint, repository);
  const scopes = [`repository:${name}:${actions}`];
  if (mountFrom !== undefined) scopes.push(`repository:${repositoryAt(endpoint, mountFrom)}:pull`);
  return scopes;
}

function parseAnswer(access: Access, bytes: Uint8Array): Record<string, unknown> {
  try {
    const answer: unknown = parseBoundedJson(bytes);
    if (typeof answer === "object" && answer !== null) return answer as Record<string, unknown>;
    throw new Error("it is not an object");
  } catch (error) {
    throw new RegistryFailure(
      "UNKNOWN",
      `read the token for registry "${access.endpoint.host}": ${printable(messageOf(error))}`,
    );
  }
}

/** A token goes into a header: nothing but visible ASCII. */
function checkedToken(access: Access, token: unknown): string {
  if (typeof token === "string" && /^[\x21-\x7e]{1,65536}$/.test(token)) return token;
  const where = `registry "${access.endpoint.host}"`;
  throw new RegistryFailure("UNKNOWN", `read the token for ${where}: it is missing or not printable`);
}
