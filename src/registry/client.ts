// The pulling half of the OCI distribution API.

import type { ByteSink } from "../lib/byte-sink.ts";
import { BerthError, messageOf } from "../lib/errors.ts";
import type { RegistryConfig } from "../types/config.ts";
import type { Digest } from "../types/ids.ts";
import type { RegistryAuth } from "../types/image.ts";
import { type Descriptor, mediaTypes } from "../types/oci-image.ts";
import { failingApart, pourBlob, SinkFailure } from "./blob.ts";
import { digestOf } from "./digest.ts";
import type { Endpoint } from "./endpoint.ts";
import { type EndpointReport, reportEndpoint } from "./endpoint-report.ts";
import { badContent, RegistryFailure } from "./failure.ts";
import { HostRules } from "./host-rules.ts";
import { PushTarget } from "./push-target.ts";
import { isDigest, type Reference } from "./reference.ts";
import { type Asker, type CredentialSource, Requester } from "./requester.ts";
import { withRetries } from "./retry.ts";
import { Slots } from "./slots.ts";
import { defaultTimings, type HttpResponse, type Timings } from "./transport.ts";

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

/** Told of what becomes of a transfer; must not throw. */
export interface TransferObserver {
  /** Bytes come from this endpoint from now on. */
  connected(base: string): void;
  /** The transfer broke and is taken up again, here or elsewhere. */
  broken(base: string, error: unknown): void;
}

export interface BlobRequest {
  /** Offset of the first byte that is wanted. */
  readonly first?: number;
  /** Base URL of the endpoint to ask first. */
  readonly from?: string | undefined;
  /** Base URLs of endpoints that have been caught lying about this blob. */
  readonly without?: ReadonlySet<string>;
  readonly observer?: TransferObserver | undefined;
}

const acceptManifests = [
  mediaTypes.ociIndex,
  mediaTypes.dockerList,
  mediaTypes.ociManifest,
  mediaTypes.dockerManifest,
].join(", ");

const defaultMaxDownloads = 16;
const defaultMaxDownloadsPerRegistry = 8;

export class RegistryClient {
  readonly #config: RegistryConfig;
  readonly #timings: Timings;
  /** Which hosts serve a registry. */
  readonly rules: HostRules;
  readonly requester: Requester;
  readonly #slots: Slots;
  readonly #slotsOf = new Map<string, Slots>();

  /** `timings` replaces some of the defaults; `stored` knows credentials beside those of the calls. */
  constructor(
    config: RegistryConfig,
    timings: Partial<Timings> = {},
    stored: CredentialSource = async () => undefined,
  ) {
    this.#config = config;
    this.#timings = { ...defaultTimings, ...timingsOf(config), ...timings };
    this.rules = new HostRules(config);
    this.requester = new Requester(config, this.#timings, stored);
    this.#slots = new Slots(config.maxDownloads ?? defaultMaxDownloads);
  }

  /**
   * The manifest or index that the reference names, from the first mirror that has it or else from the
   * registry. Its digest is checked when the reference or the registry tells one. Errors: NOT_FOUND,
   * PERMISSION_DENIED, UNAVAILABLE ("RegistryUnavailable: …"), DATA_LOSS, FAILED_PRECONDITION (host files).
   */
  async resolve(request: RegistryRequest, maxBytes: number): Promise<ResolvedManifest> {
    const { reference, signal } = request;
    const failures: EndpointFailure[] = [];
    // A digest says itself whether an answer is right: any host that has content will do.
    const capability = reference.digest === undefined ? "resolve" : "pull";
    for (const endpoint of await this.rules.endpoints(reference.host, capability)) {
      try {
        return await withRetries(this.#timings, signal, () =>
          this.#manifestFrom(endpoint, request, maxBytes),
        );
      } catch (error) {
        signal.throwIfAborted();
        failures.push({ endpoint, error });
      }
    }
    throw summary(failures);
  }

  /**
   * Pours the bytes of a blob from `first` on, to its end at exactly `descriptor.size`. A broken connection
   * is taken up where it broke, at the same endpoint and then at the next one. The digest is for the reader
   * of the whole to check. Waits for its turn while as many blobs are on their way as the limits allow.
   */
  async pour(
    request: RegistryRequest,
    descriptor: Descriptor,
    sink: ByteSink,
    { first = 0, from, without, observer }: BlobRequest = {},
  ): Promise<void> {
    const { reference, signal } = request;
    const failures: EndpointFailure[] = [];
    const all = await this.rules.endpoints(reference.host, "pull");
    const endpoints = all.filter(({ base }) => without?.has(base.href) !== true);
    endpoints.sort((a, b) => Number(b.base.href === from) - Number(a.base.href === from));
    if (endpoints.length === 0) {
      throw badContent(`blob "${descriptor.digest}": every host that was asked sent something else`);
    }
    let offset = first;
    const counted = failingApart((piece) => {
      offset += piece.byteLength;
      return sink(piece);
    });
    for (const endpoint of endpoints) {
      const { href } = endpoint.base;
      const open = (at: number) => this.#openBlob(endpoint, request, descriptor, at);
      const transfer = {
        connected: () => observer?.connected(href),
        broken: (error: unknown) => observer?.broken(href, error),
      };
      const give = await this.#take(endpoint, signal);
      try {
        return await pourBlob(open, descriptor, offset, this.#timings, signal, transfer, counted);
      } catch (error) {
        if (error instanceof SinkFailure) throw error.cause;
        signal.throwIfAborted();
        failures.push({ endpoint, error });
        if (endpoint !== endpoints.at(-1)) observer?.broken(href, error);
      } finally {
        give();
      }
    }
    throw summary(failures);
  }

  /**
   * Where pushes to the reference's repository go. Errors: INVALID_ARGUMENT, FAILED_PRECONDITION (host
   * files).
   */
  async pushTarget({ reference, auth, signal }: RegistryRequest): Promise<PushTarget> {
    const [endpoint] = await this.rules.endpoints(reference.host, "push");
    const request = { repository: reference.repository, auth, signal };
    return new PushTarget(this.requester, endpoint as Endpoint, request, this.#timings);
  }

  /**
   * Asks the registry itself whether it takes the credentials. PERMISSION_DENIED when it does not.
   */
  async login(host: string, auth: RegistryAuth, signal: AbortSignal): Promise<void> {
    const all = await this.rules.all(host);
    const endpoint = all.find(({ isMirror }) => !isMirror) ?? (all.at(-1) as Endpoint);
    const asker: Asker = { repository: "", actions: "pull", auth, signal };
    const request = { method: "GET", rest: endpoint.base, what: `the API of registry "${host}"` } as const;
    await withRetries(this.#timings, signal, async () => {
      const response = await this.requester.expect(endpoint, asker, request, [200]);
      await response.discard();
    });
  }

  /** What each endpoint of the reference's registry is and says of it, whatever it may be asked for. */
  async report({ reference, auth, signal }: RegistryRequest): Promise<EndpointReport[]> {
    const endpoints = await this.rules.all(reference.host);
    const asker: Asker = { repository: reference.repository, actions: "pull", auth, signal };
    const wanted = reference.digest ?? reference.tag ?? "latest";
    return await Promise.all(
      endpoints.map((one) => reportEndpoint(this.requester, one, asker, wanted, acceptManifests)),
    );
  }

  /** Closes all connections. */
  async close(): Promise<void> {
    await this.requester.close();
  }

  /** A registry's own slot first, so that one that is slow to give them holds up nobody else. */
  async #take(endpoint: Endpoint, signal: AbortSignal): Promise<() => void> {
    const { origin } = endpoint.base;
    const limit =
      endpoint.maxDownloads ?? this.#config.maxDownloadsPerRegistry ?? defaultMaxDownloadsPerRegistry;
    const slots = this.#slotsOf.get(origin) ?? new Slots(limit);
    this.#slotsOf.set(origin, slots);
    const giveOwn = await slots.take(signal);
    try {
      const give = await this.#slots.take(signal);
      return () => {
        give();
        giveOwn();
        if (slots.isIdle) this.#slotsOf.delete(origin);
      };
    } catch (error) {
      giveOwn();
      throw error;
    }
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

  async #get(
    endpoint: Endpoint,
    { reference, auth, signal }: RegistryRequest,
    rest: string,
    what: string,
    headers: Record<string, string>,
  ): Promise<HttpResponse> {
    const asker: Asker = { repository: reference.repository, actions: "pull", auth, signal };
    const request = { method: "GET", rest, headers, what } as const;
    const fine = headers.range === undefined ? [200, 206] : [200, 206, 416];
    return await this.requester.expect(endpoint, asker, request, fine);
  }
}

function timingsOf(config: RegistryConfig): Partial<Timings> {
  const { stallSeconds, minBytesPerSecond = 1024 } = config;
  if (stallSeconds === undefined) return {};
  return { stallMs: stallSeconds * 1000, stallBytes: stallSeconds * minBytesPerSecond };
}

interface EndpointFailure {
  readonly endpoint: Endpoint;
  readonly error: unknown;
}

/**
 * What to say when every endpoint has failed: the registry's own word, or else that of the last mirror, and
 * what went wrong at the others.
 */
function summary(failures: readonly EndpointFailure[]): unknown {
  const decisive = failures.find(({ endpoint }) => !endpoint.isMirror) ?? failures.at(-1);
  const others = failures.filter((failure) => failure !== decisive);
  if (decisive === undefined || others.length === 0) return decisive?.error;
  const { error, endpoint } = decisive;
  const list = others.map((other) => `"${other.endpoint.base.origin}": ${messageOf(other.error)}`);
  const code = error instanceof BerthError ? error.code : "INTERNAL";
  const message = `${messageOf(error)} (also tried: ${list.join("; ")}; by ${endpoint.rule})`;
  return new RegistryFailure(code, message, { cause: error });
}
