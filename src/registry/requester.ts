// Requests to a registry's API with the answer to its challenge: what pulling and pushing are made of.

import type { Readable } from "node:stream";
import type { RegistryConfig } from "../types/config.ts";
import type { RegistryAuth } from "../types/image.ts";
import { type Access, Authenticator } from "./authenticator.ts";
import { parseChallenges } from "./challenge.ts";
import { connectionElsewhere } from "./connection.ts";
import { type Credentials, credentialsFor } from "./credentials.ts";
import { apiHost, type Endpoint, endpointUrl } from "./endpoint.ts";
import { printable, statusFailure } from "./failure.ts";
import { retryAfterMs } from "./retry.ts";
import { type HttpRequest, type HttpResponse, type Timings, Transport } from "./transport.ts";

/** Who asks, and what for: the same for all requests of one pull or push. */
export interface Asker {
  readonly repository: string;
  readonly actions: Access["actions"];
  readonly mountFrom?: string | undefined;
  /** The caller's own credentials. */
  readonly auth: RegistryAuth | undefined;
  readonly signal: AbortSignal;
}

export interface ApiRequest {
  readonly method: HttpRequest["method"];
  /** Below the repository, such as "manifests/latest"; or a whole URL at the endpoint's origin. */
  readonly rest: string | URL;
  readonly headers?: Readonly<Record<string, string>>;
  /** A stream can be sent once: a function makes it anew when the first answer is a challenge. */
  readonly body?: string | Uint8Array | (() => Readable);
  /** For messages: `blob "sha256:…" of "host/name"`. */
  readonly what: string;
}

/** Credentials that the administrator keeps for hosts, beside those that come with a call. */
export type CredentialSource = (host: string) => Promise<RegistryAuth | undefined>;

const verbs: Readonly<Record<HttpRequest["method"], string>> = {
  GET: "get",
  HEAD: "look for",
  POST: "upload",
  PUT: "upload",
  PATCH: "upload",
  DELETE: "delete",
};

export class Requester {
  readonly #transport: Transport;
  readonly #authenticator: Authenticator;
  readonly #stored: CredentialSource;

  constructor(config: RegistryConfig, timings: Timings, stored: CredentialSource) {
    this.#transport = new Transport(timings, config.proxy);
    this.#authenticator = new Authenticator(this.#transport);
    this.#stored = stored;
  }

  /** The answer whatever its status; a challenge is answered once. */
  async send(endpoint: Endpoint, asker: Asker, request: ApiRequest): Promise<HttpResponse> {
    const { rest, method, what, body } = request;
    const url =
      rest instanceof URL
        ? rest
        : asker.repository === ""
          ? new URL(rest, endpoint.base)
          : endpointUrl(endpoint, asker.repository, rest);
    const { repository, actions, mountFrom, signal } = asker;
    const credentials = await this.#credentials(endpoint, asker.auth);
    const access: Access = { endpoint, repository, actions, mountFrom, credentials };
    // An upload's URL may lie on another host, which gets neither credentials nor headers of ours.
    const ours = url.origin === endpoint.base.origin;
    const send = (authorization: string | undefined) =>
      this.#transport.send({
        method,
        url,
        headers: request.headers ?? {},
        ownHeaders: ours ? endpoint.headers : {},
        connection: connectionElsewhere(endpoint.connection, endpoint.base, url),
        authorization: ours ? authorization : undefined,
        ...(body === undefined ? {} : { body: typeof body === "function" ? body() : body }),
        signal,
        doing: `${verbs[method]} ${what}`,
      });
    const used = this.#authenticator.known(access);
    const response = await send(used);
    // A challenge counts only from the registry itself, not from where it redirects to.
    if (response.status !== 401 || response.url.origin !== endpoint.base.origin) return response;
    const challenges = parseChallenges(response.headers("www-authenticate"));
    let answer: string | undefined;
    try {
      answer = await this.#authenticator.answer(access, challenges, used, signal);
    } catch (error) {
      await response.discard();
      throw error;
    }
    if (answer === undefined) return response;
    await response.discard();
    return await send(answer);
  }

  /** As `send`, but throws what a status other than those in `fine` means. */
  async expect(
    endpoint: Endpoint,
    asker: Asker,
    request: ApiRequest,
    fine: readonly number[],
  ): Promise<HttpResponse> {
    const response = await this.send(endpoint, asker, request);
    if (fine.includes(response.status)) return response;
    const wait = retryAfterMs(response.header("retry-after"));
    const detail = response.url.origin === endpoint.base.origin ? await readDetail(response) : "";
    await response.discard();
    const { what, method } = request;
    throw statusFailure({ verb: verbs[method], what }, endpoint.base, response.status, detail, wait);
  }

  /** The proxy on the way to the endpoint, or null. */
  proxyOf(endpoint: Endpoint): string | null {
    return this.#transport.proxyOf(endpoint.base, endpoint.connection);
  }

  /** Where the credentials for the endpoint come from. */
  async credentialOrigin(
    endpoint: Endpoint,
    auth: RegistryAuth | undefined,
  ): Promise<"call" | "docker_config" | ""> {
    if (!endpoint.isMirror && credentialsFor(auth, endpoint.host) !== undefined) return "call";
    return (await this.#credentials(endpoint, undefined)) === undefined ? "" : "docker_config";
  }

  /** The caller's credentials for the registry itself; stored ones for whichever host this is. */
  async #credentials(endpoint: Endpoint, auth: RegistryAuth | undefined): Promise<Credentials | undefined> {
    const given = endpoint.isMirror ? undefined : credentialsFor(auth, endpoint.host);
    if (given !== undefined) return given;
    const { host } = endpoint.base;
    const name = host === apiHost(endpoint.host) || !endpoint.isMirror ? endpoint.host : host;
    return credentialsFor(await this.#stored(name), name);
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }
}

/** The registry's own words: errors[0].message (distribution, "Errors"). */
async function readDetail(response: HttpResponse): Promise<string> {
  try {
    const body = Buffer.from(await response.read(64 * 1024, "the error")).toString("utf8");
    const message: unknown = (JSON.parse(body) as { errors?: { message?: unknown }[] }).errors?.[0]?.message;
    return typeof message === "string" ? printable(message) : "";
  } catch {
    // Not an error in the registry's form: the status says enough.
    return "";
  }
}
