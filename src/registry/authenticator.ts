// Answers a registry's challenges: Basic, and Bearer with a token from the realm that the registry names.

import { messageOf } from "../lib/errors.ts";
import type { Challenge } from "./challenge.ts";
import { basicHeader, type Credentials, fingerprint } from "./credentials.ts";
import { type Endpoint, isLinkLocal, isLoopback } from "./endpoint.ts";
import { printable, RegistryFailure } from "./failure.ts";
import type { HttpResponse, Transport } from "./transport.ts";

/** Who asks for what: a token is good for this alone. */
export interface Access {
  readonly endpoint: Endpoint;
  readonly repository: string;
  /** Undefined for mirrors, always. */
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
   * we know of was asked for, or we have no credentials for it.
   */
  async answer(access: Access, challenges: Challenge[], signal: AbortSignal): Promise<string | undefined> {
    this.#tokens.delete(keyOf(access));
    const bearer = challenges.find(({ scheme }) => scheme === "bearer");
    const { credentials } = access;
    if (bearer !== undefined) {
      if (credentials !== undefined && credentials.registryToken !== "") {
        return this.#keep(access, `Bearer ${checkedToken(access, credentials.registryToken)}`, Infinity);
      }
      return await this.#fetchToken(access, bearer, signal);
    }
    const wantsBasic = challenges.some(({ scheme }) => scheme === "basic");
    if (!wantsBasic || credentials === undefined || credentials.username === "") return undefined;
    return this.#keep(access, basicHeader(credentials), Infinity);
  }

  async #fetchToken(access: Access, challenge: Challenge, signal: AbortSignal): Promise<string> {
    const { credentials } = access;
    const realm = realmUrl(access, challenge);
    const query = new URLSearchParams({ scope: scopeOf(access, challenge) });
    const service = challenge.parameters.get("service");
    if (service !== undefined) query.set("service", service);
    const refresh = credentials?.identityToken ?? "";
    const doing = `get a token for registry "${access.endpoint.host}"`;
    let response: HttpResponse;
    if (refresh !== "") {
      query.set("grant_type", "refresh_token");
      query.set("refresh_token", refresh);
      query.set("client_id", "berth");
      const headers = { "content-type": "application/x-www-form-urlencoded" };
      const body = query.toString();
      response = await this.#transport.send({ method: "POST", url: realm, headers, body, signal, doing });
    } else {
      for (const [name, value] of query) realm.searchParams.set(name, value);
      const authorization =
        credentials !== undefined && credentials.username !== "" ? basicHeader(credentials) : undefined;
      response = await this.#transport.send({
        method: "GET",
        url: realm,
        headers: {},
        authorization,
        signal,
        doing,
      });
    }
    return await this.#readToken(access, response);
  }

  async #readToken(access: Access, response: HttpResponse): Promise<string> {
    if (response.status !== 200) {
      await response.discard();
      const denied = response.status >= 400 && response.status < 500 && response.status !== 429;
      throw new RegistryFailure(
        denied ? "PERMISSION_DENIED" : "UNAVAILABLE",
        `${denied ? "" : "RegistryUnavailable: "}get a token for registry "${access.endpoint.host}": ` +
          `"${response.url.origin}" answers ${response.status}; check the credentials`,
        { retryable: !denied },
      );
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
  return [access.endpoint.base.href, access.repository, fingerprint(access.credentials)].join("\n");
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
  const local = isLoopback(realm.hostname) || isLinkLocal(realm.hostname);
  if (local && !isLoopback(base.hostname) && realm.hostname !== base.hostname) {
    throw refuse("is an address of this machine");
  }
  realm.hash = "";
  return realm;
}

/** Never more than to pull; the registry may only say under which name it knows the repository. */
function scopeOf(access: Access, challenge: Challenge): string {
  const asked = challenge.parameters.get("scope") ?? "";
  return /^repository:[^\s:,]+:pull$/.test(asked) ? asked : `repository:${access.repository}:pull`;
}

function parseAnswer(access: Access, bytes: Uint8Array): Record<string, unknown> {
  try {
    const answer: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
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
