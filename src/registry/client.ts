// The pulling half of the OCI distribution API.

import { messageOf } from "../lib/errors.ts";
import type { RegistryConfig } from "../types/config.ts";
import type { Digest } from "../types/ids.ts";
import type { RegistryAuth } from "../types/image.ts";
import { type Descriptor, mediaTypes } from "../types/oci-image.ts";
import { Authenticator } from "./authenticator.ts";
import { blobChunks } from "./blob.ts";
import { parseChallenges } from "./challenge.ts";
import { credentialsFor } from "./credentials.ts";
import { digestOf } from "./digest.ts";
import { type Endpoint, endpointsOf, endpointUrl } from "./endpoint.ts";
import { badContent, printable, RegistryFailure, statusFailure } from "./failure.ts";
import { isDigest, type Reference } from "./reference.ts";
import { retryAfterMs, withRetries } from "./retry.ts";
import { defaultTimings, type HttpResponse, type Timings, Transport } from "./transport.ts";

export interface RegistryRequest {
  readonly reference: Reference;
  readonly auth?: RegistryAuth | undefined;
  readonly signal: AbortSignal;
}

export interface ResolvedManifest {
  /** Computed from the bytes. */
  readonly digest: Digest;
  /** As the registry's Content-Type says, without parameters; "" when it says none. */
  readonly mediaType: string;
  readonly bytes: Uint8Array;
  /** Base URL of the endpoint that had it; blobs are looked for there first. */
  readonly from: string;
}

const acceptManifests = [
  mediaTypes.ociIndex,
  mediaTypes.dockerList,
  mediaTypes.ociManifest,
  mediaTypes.dockerManifest,
].join(", ");

export class RegistryClient {
  readonly #config: RegistryConfig;
  readonly #timings: Timings;
  readonly #transport: Transport;
  readonly #authenticator: Authenticator;

  /** `timings` replaces some of the defaults. */
  constructor(config: RegistryConfig, timings: Partial<Timings> = {}) {
    this.#config = config;
    this.#timings = { ...defaultTimings, ...timings };
    this.#transport = new Transport(this.#timings);
    this.#authenticator = new Authenticator(this.#transport);
  }

  /**
   * The manifest or index that the reference names, from the first mirror that has it or else from the
   * registry. Its digest is checked when the reference or the registry tells one. Errors: NOT_FOUND,
   * PERMISSION_DENIED, UNAVAILABLE ("RegistryUnavailable: …"), DATA_LOSS.
   */
  async resolve(request: RegistryRequest, maxBytes: number): Promise<ResolvedManifest> {
    const failures: EndpointFailure[] = [];
    for (const endpoint of endpointsOf(this.#config, request.reference.host)) {
      try {
        return await withRetries(this.#timings, request.signal, () =>
          this.#manifestFrom(endpoint, request, maxBytes),
        );
      } catch (error) {
        request.signal.throwIfAborted();
        failures.push({ endpoint, error });
      }
    }
    throw summary(failures);
  }

  /**
   * The bytes of a blob, exactly `descriptor.size` of them. A broken connection is taken up where it broke,
   * at the same endpoint and then at the next one. The digest is for the reader of the whole to check.
   * `from` is the endpoint to ask first.
   */
  async *blob(request: RegistryRequest, descriptor: Descriptor, from?: string): AsyncGenerator<Uint8Array> {
    const failures: EndpointFailure[] = [];
    const endpoints = endpointsOf(this.#config, request.reference.host);
    endpoints.sort((a, b) => Number(b.base.href === from) - Number(a.base.href === from));
    let offset = 0;
    for (const endpoint of endpoints) {
      const open = (first: number) => this.#openBlob(endpoint, request, descriptor, first);
      try {
        for await (const chunk of blobChunks(open, descriptor, offset, this.#timings, request.signal)) {
          offset += chunk.byteLength;
          yield chunk;
        }
        return;
      } catch (error) {
        request.signal.throwIfAborted();
        failures.push({ endpoint, error });
        // A liar's bytes are in the stream already: there is no way on from here.
        if (offset > 0 && error instanceof RegistryFailure && error.code === "DATA_LOSS") break;
      }
    }
    throw summary(failures);
  }

  /** Closes all connections. */
  async close(): Promise<void> {
    await this.#transport.close();
  }

  async #manifestFrom(
    endpoint: Endpoint,
    request: RegistryRequest,
    maxBytes: number,
  ): Promise<ResolvedManifest> {
    const { reference } = request;
    const wanted = reference.digest ?? reference.tag ?? "latest";
    const separator = reference.digest === undefined ? ":" : "@";
    const what = `image "${reference.host}/${reference.repository}${separator}${wanted}"`;
    const response = await this.#get(endpoint, request, `manifests/${wanted}`, what, {
      accept: acceptManifests,
    });
    const told = response.header("docker-content-digest");
    const bytes = await response.read(maxBytes, `the manifest of ${what}`);
    for (const expected of [reference.digest, told]) {
      // A digest that we cannot compute proves nothing; ours is made from the bytes below.
      if (expected === undefined || !isDigest(expected)) continue;
      const actual = digestOf(bytes, expected);
      if (actual !== expected) {
        const source = `registry "${endpoint.base.origin}"`;
        throw badContent(`${what}: ${source} sent content with digest "${actual}" for "${expected}"`);
      }
    }
    return {
      digest: reference.digest ?? digestOf(bytes, "sha256:"),
      mediaType: (response.header("content-type") ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "",
      bytes,
      from: endpoint.base.href,
    };
  }

  async #openBlob(
    endpoint: Endpoint,
    request: RegistryRequest,
    descriptor: Descriptor,
    first: number,
  ): Promise<HttpResponse> {
    const what = `blob "${descriptor.digest}" of "${request.reference.host}/${request.reference.repository}"`;
    const headers: Record<string, string> = first === 0 ? {} : { range: `bytes=${first}-` };
    return await this.#get(endpoint, request, `blobs/${descriptor.digest}`, what, headers);
  }

  /** One GET, with the answer to a challenge when there is one. Throws unless the status is 200 or 206. */
  async #get(
    endpoint: Endpoint,
    request: RegistryRequest,
    rest: string,
    what: string,
    headers: Record<string, string>,
  ): Promise<HttpResponse> {
    const { reference, signal } = request;
    const url = endpointUrl(endpoint, reference.repository, rest);
    const credentials = endpoint.isMirror ? undefined : credentialsFor(request.auth, endpoint.host);
    const access = { endpoint, repository: reference.repository, credentials };
    const send = (authorization: string | undefined) =>
      this.#transport.send({ method: "GET", url, headers, authorization, signal, doing: `get ${what}` });
    let response = await send(this.#authenticator.known(access));
    // A challenge counts only from the registry itself, not from where it redirects to.
    if (response.status === 401 && response.url.origin === url.origin) {
      const challenges = parseChallenges(response.headers("www-authenticate"));
      const answer = await this.#answer(access, challenges, response, signal);
      if (answer !== undefined) {
        await response.discard();
        response = await send(answer);
      }
    }
    if (response.status === 200 || response.status === 206) return response;
    const wait = retryAfterMs(response.header("retry-after"));
    const detail = response.url.origin === url.origin ? await readDetail(response) : "";
    await response.discard();
    throw statusFailure(what, endpoint.base, response.status, detail, wait);
  }

  async #answer(
    access: Parameters<Authenticator["answer"]>[0],
    challenges: ReturnType<typeof parseChallenges>,
    response: HttpResponse,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    try {
      return await this.#authenticator.answer(access, challenges, signal);
    } catch (error) {
      await response.discard();
      throw error;
    }
  }
}

interface EndpointFailure {
  readonly endpoint: Endpoint;
  readonly error: unknown;
}

/** The last endpoint's failure (the registry's own word), and what went wrong at those before it. */
function summary(failures: readonly EndpointFailure[]): unknown {
  const last = failures.at(-1);
  const before = failures.slice(0, -1);
  if (last === undefined || before.length === 0) return last?.error;
  const list = before.map(({ endpoint, error }) => `"${endpoint.base.origin}": ${messageOf(error)}`);
  const code = last.error instanceof RegistryFailure ? last.error.code : "INTERNAL";
  const message = `${messageOf(last.error)} (tried before: ${list.join("; ")})`;
  return new RegistryFailure(code, message, { cause: last.error });
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
