// The pushing half of the OCI distribution API: one repository of one registry.

import type { Readable } from "node:stream";
import type { Digest } from "../types/ids.ts";
import type { RegistryAuth } from "../types/image.ts";
import type { Descriptor } from "../types/oci-image.ts";
import { digestOf } from "./digest.ts";
import type { Endpoint } from "./endpoint.ts";
import { printable, RegistryFailure } from "./failure.ts";
import type { ApiRequest, Asker, Requester } from "./requester.ts";
import { Retries, withRetries } from "./retry.ts";
import type { HttpResponse, Timings } from "./transport.ts";

/** Bytes of one PATCH: what a broken connection costs at most. */
const defaultChunkBytes = 32 * 1024 * 1024;
/** A registry may ask for longer ones (OCI-Chunk-Min-Length), up to this. */
const maxChunkBytes = 1024 * 1024 * 1024;

export interface UploadSource {
  /** The bytes from `first` up to and without `end`. */
  open(first: number, end: number): Readable;
}

/** Answers about an upload that the registry has forgotten (404) or that is elsewhere than we are (416). */
const strays = [404, 416];
/** Answers of registries that cannot say how far an upload has come. */
const unable = [400, 405, 501];

/** What a POST or PATCH answered. */
interface Session {
  readonly location: URL;
  /** Bytes that the registry has. */
  readonly offset: number;
  readonly chunk: number;
}

export class PushTarget {
  readonly #requester: Requester;
  readonly #endpoint: Endpoint;
  readonly #asker: Asker;
  readonly #timings: Timings;
  readonly #name: string;
  readonly #chunkBytes: number;

  constructor(
    requester: Requester,
    endpoint: Endpoint,
    request: { repository: string; auth: RegistryAuth | undefined; signal: AbortSignal },
    timings: Timings,
    chunkBytes = defaultChunkBytes,
  ) {
    this.#requester = requester;
    this.#endpoint = endpoint;
    this.#asker = { ...request, actions: "pull,push" };
    this.#timings = timings;
    this.#chunkBytes = chunkBytes;
    this.#name = `${endpoint.host}/${request.repository}`;
  }

  /** Whether the repository has the blob, with that size when the registry tells one. */
  async hasBlob({ digest, size }: Descriptor): Promise<boolean> {
    const response = await this.#retried(
      { method: "HEAD", rest: `blobs/${digest}`, what: this.#blob(digest) },
      [200, 404],
    );
    await response.discard();
    const length = response.header("content-length");
    return response.status === 200 && (length === undefined || Number(length) === size);
  }

  /** Has the registry take the blob from another of its repositories. False when it does not. */
  async mountBlob(digest: Digest, from: string): Promise<boolean> {
    const rest = `blobs/uploads/?mount=${encodeURIComponent(digest)}&from=${encodeURIComponent(from)}`;
    const asker = { ...this.#asker, mountFrom: from };
    const request = {
      method: "POST",
      rest,
      what: this.#blob(digest),
      headers: { "content-length": "0" },
    } as const;
    const response = await this.#requester.send(this.#endpoint, asker, request);
    await response.discard();
    if (response.status === 201) return true;
    // It began an upload instead, which nobody will go on with. Anything else means that there is no
    // mounting.
    if (response.status === 202) await this.#cancel(response);
    return false;
  }

  /**
   * Uploads a blob in chunks; after a failure it goes on where the registry stopped, or from the start when
   * that has forgotten the upload. `onBytes` is told how many the registry has.
   */
  async uploadBlob(
    descriptor: Descriptor,
    source: UploadSource,
    onBytes: (bytes: number) => void = () => {},
  ): Promise<void> {
    const { digest, size } = descriptor;
    const retries = new Retries(this.#timings, this.#asker.signal);
    let session: Session | undefined;
    let failed = false;
    // What comes again after a new start is no progress: else a registry could keep us for ever.
    let most = 0;
    for (;;) {
      try {
        if (failed && session !== undefined) session = await this.#whereWeAre(digest, session, size);
        // The end may have arrived, and only its answer been lost.
        if (failed && session === undefined && (await this.hasBlob(descriptor))) return;
        failed = false;
        session ??= await this.#begin(digest);
        while (session.offset < size) {
          session = await this.#sendChunk(digest, session, size, source);
          onBytes(session.offset);
          if (session.offset > most) retries.progressed();
          most = Math.max(most, session.offset);
        }
        await this.#finish(digest, session.location);
        return;
      } catch (error) {
        await retries.after(error);
        failed = true;
      }
    }
  }

  /** Stores a manifest under a tag or its digest. DATA_LOSS when the registry has made another one of it. */
  async putManifest(name: string, mediaType: string, bytes: Uint8Array): Promise<Digest> {
    const what = `manifest "${name}" of "${this.#name}"`;
    const headers = { "content-type": mediaType, "content-length": String(bytes.byteLength) };
    const response = await this.#retried(
      { method: "PUT", rest: `manifests/${name}`, headers, body: bytes, what },
      [200, 201, 202],
    );
    await response.discard();
    const digest = digestOf(bytes, "sha256:");
    const told = response.header("docker-content-digest");
    if (told === undefined || !told.startsWith("sha256:") || told === digest) return digest;
    const origin = this.#endpoint.base.origin;
    throw new RegistryFailure(
      "DATA_LOSS",
      `push ${what}: registry "${origin}" stored "${printable(told)}" instead of "${digest}"`,
    );
  }

  async #begin(digest: Digest): Promise<Session> {
    const request = { method: "POST", rest: "blobs/uploads/", headers: { "content-length": "0" } } as const;
    const response = await this.#expect({ ...request, what: this.#blob(digest) }, [202]);
    await response.discard();
    const least = Number(response.header("oci-chunk-min-length") ?? 0);
    const chunk = Math.min(maxChunkBytes, Math.max(this.#chunkBytes, Number.isFinite(least) ? least : 0));
    return { location: this.#location(digest, response), offset: 0, chunk };
  }

  async #sendChunk(
    digest: Digest,
    { location, offset, chunk }: Session,
    size: number,
    source: UploadSource,
  ): Promise<Session> {
    const end = Math.min(size, offset + chunk);
    const headers = {
      "content-type": "application/octet-stream",
      "content-length": String(end - offset),
      "content-range": `${offset}-${end - 1}`,
    };
    const body = () => source.open(offset, end);
    const request = { method: "PATCH", rest: location, headers, body, what: this.#blob(digest) } as const;
    const response = await this.#expect(request, [202, ...strays]);
    await response.discard();
    if (response.status !== 202) throw this.#astray(digest, response);
    // Something was sent: here "0-0" is one byte.
    const has = response.header("range") === "0-0" ? 1 : (offsetOf(response) ?? end);
    if (has > end) throw this.#lie(digest, response);
    if (has <= offset) throw this.#astray(digest, response);
    return { location: this.#location(digest, response, location), offset: has, chunk };
  }

  async #finish(digest: Digest, location: URL): Promise<void> {
    const url = new URL(location);
    url.searchParams.set("digest", digest);
    const headers = { "content-length": "0", "content-type": "application/octet-stream" };
    const request = { method: "PUT", rest: url, headers, what: this.#blob(digest) } as const;
    const response = await this.#expect(request, [201, 204, ...strays]);
    await response.discard();
    if (response.status !== 201 && response.status !== 204) throw this.#astray(digest, response);
  }

  /** How far a session has come; undefined when the registry knows it no more, and all begins again. */
  async #whereWeAre(digest: Digest, session: Session, size: number): Promise<Session | undefined> {
    const request = { method: "GET", rest: session.location, what: this.#blob(digest) } as const;
    const response = await this.#expect(request, [200, 202, 204, ...strays, ...unable]);
    await response.discard();
    const offset = offsetOf(response);
    if (response.status >= 400 || offset === undefined || offset > size) return undefined;
    return { ...session, location: this.#location(digest, response, session.location), offset };
  }

  async #cancel(response: HttpResponse): Promise<void> {
    const location = response.header("location");
    if (location === undefined || !URL.canParse(location, response.url.href)) return;
    const request = { method: "DELETE", rest: new URL(location, response.url), what: "an upload" } as const;
    try {
      await (await this.#requester.send(this.#endpoint, this.#asker, request)).discard();
    } catch (error) {
      this.#asker.signal.throwIfAborted();
      // It runs out by itself.
      if (!(error instanceof RegistryFailure)) throw error;
    }
  }

  #location(digest: Digest, response: HttpResponse, otherwise?: URL): URL {
    const text = response.header("location");
    if (text === undefined && otherwise !== undefined) return otherwise;
    const location = URL.canParse(text ?? "", response.url.href)
      ? new URL(text ?? "", response.url)
      : undefined;
    if (text === undefined || location === undefined || !/^https?:$/.test(location.protocol)) {
      throw this.#lie(digest, response);
    }
    if (response.url.protocol === "https:" && location.protocol === "http:")
      throw this.#lie(digest, response);
    return location;
  }

  #lie(digest: Digest, response: HttpResponse): RegistryFailure {
    const where = printable(response.header("location") ?? "nowhere");
    const range = printable(response.header("range") ?? "none");
    return new RegistryFailure(
      "UNKNOWN",
      `upload ${this.#blob(digest)}: "${response.url.origin}" answers with the location "${where}" and the ` +
        `range "${range}", which do not fit the upload`,
    );
  }

  /** The registry is elsewhere in the upload than we are; asking for its place may help. */
  #astray(digest: Digest, response: HttpResponse): RegistryFailure {
    const { message } = this.#lie(digest, response);
    return new RegistryFailure("UNKNOWN", `${message} (status ${response.status})`, { retryable: true });
  }

  #blob(digest: Digest): string {
    return `blob "${digest}" of "${this.#name}"`;
  }

  #expect(request: ApiRequest, fine: readonly number[]): Promise<HttpResponse> {
    return this.#requester.expect(this.#endpoint, this.#asker, request, fine);
  }

  #retried(request: ApiRequest, fine: readonly number[]): Promise<HttpResponse> {
    return withRetries(this.#timings, this.#asker.signal, () => this.#expect(request, fine));
  }
}

/** How many bytes "Range: 0-41" says that the registry has: 42. */
function offsetOf(response: HttpResponse): number | undefined {
  const range = /^(?:bytes=)?0-(\d{1,15})$/.exec(response.header("range") ?? "");
  if (range === null) return undefined;
  const last = Number(range[1]);
  // An empty session answers "0-0", as one with a single byte does; to send that byte again costs nothing.
  return last === 0 ? 0 : last + 1;
}
