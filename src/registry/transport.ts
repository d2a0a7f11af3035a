// HTTP to registries: one pool of connections per origin, redirects that leave credentials behind, and
// clocks that run only while we wait for the other side.

import type { Readable } from "node:stream";
import { finished } from "node:stream/promises";
import type { Dispatcher } from "undici";
import type { ByteSink } from "../lib/byte-sink.ts";
import { messageOf } from "../lib/errors.ts";
import type { ProxyConfig } from "../types/config.ts";
import { isLocalAddress } from "./addresses.ts";
import { type Connection, connectionElsewhere } from "./connection.ts";
import { badContent, networkFailure, printable, RegistryFailure } from "./failure.ts";
import { Pools } from "./pools.ts";
import { StallClock } from "./stall-clock.ts";

export interface Timings {
  readonly connectMs: number;
  readonly headersMs: number;
  /** Fewer than `stallBytes` in this time of waiting is a stall. */
  readonly stallMs: number;
  readonly stallBytes: number;
  /** Further tries after the first one that fails. */
  readonly retries: number;
  /** Wait before the first of them; it doubles each time. */
  readonly retryBaseMs: number;
  /** A registry that asks for a longer wait than this is given up. */
  readonly maxRetryAfterMs: number;
}

export const defaultTimings: Timings = {
  connectMs: 10_000,
  headersMs: 30_000,
  stallMs: 30_000,
  stallBytes: 30 * 1024,
  retries: 3,
  retryBaseMs: 300,
  maxRetryAfterMs: 30_000,
};

export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** How to reach `url`'s host. */
  readonly connection: Connection;
  /** Sent to `url`'s origin only, as are `ownHeaders`. */
  readonly authorization?: string | undefined;
  readonly ownHeaders?: Readonly<Record<string, string | string[]>>;
  readonly body?: string | Uint8Array | Readable;
  readonly signal: AbortSignal;
  /** For messages: `get manifest "x"`. */
  readonly doing: string;
}

export interface HttpResponse {
  readonly status: number;
  /** Where the answer came from after redirects. */
  readonly url: URL;
  header(name: string): string | undefined;
  headers(name: string): string[];
  /** The whole body, in pieces; once. What `sink` throws closes the connection and is thrown as it is. */
  pour(sink: ByteSink): Promise<void>;
  /** The whole body; DATA_LOSS when it is longer than `maxBytes`. */
  read(maxBytes: number, what: string): Promise<Uint8Array>;
  /** Drops the body. */
  discard(): Promise<void>;
}

const maxRedirects = 5;
/** Answers "1xx" before the final one: each starts the clock for the answer's headers anew. */
const maxInterim = 8;
/** What is left of an answer that nobody wants is read so long, that its connection can be used again. */
const discardMs = 1000;
const redirectStatuses = new Set([301, 302, 303, 307, 308]);

export class Transport {
  readonly #timings: Timings;
  readonly #pools: Pools;

  constructor(timings: Timings, proxy?: ProxyConfig) {
    this.#timings = timings;
    this.#pools = new Pools(timings, proxy);
  }

  /**
   * Sends a request; a GET or HEAD follows redirects. Throws UNAVAILABLE failures, or the signal's reason.
   */
  async send(request: HttpRequest): Promise<HttpResponse> {
    const follows = request.method === "GET" || request.method === "HEAD";
    let url = request.url;
    for (let hop = 0; hop <= maxRedirects; hop++) {
      const response = await this.#sendOnce(request, url);
      const location = response.header("location");
      if (!redirectStatuses.has(response.status) || location === undefined) return response;
      await response.discard();
      if (!follows) break;
      url = redirectTarget(url, location, request);
    }
    throw new RegistryFailure(
      "UNKNOWN",
      `${request.doing}: "${request.url.origin}" redirects ` +
        (follows ? `more than ${maxRedirects} times` : `a ${request.method}`),
    );
  }

  /** The proxy on the way to `url`, or null. */
  proxyOf(url: URL, connection: Connection): string | null {
    return this.#pools.proxyOf(url, connection);
  }

  /** Closes all connections. */
  async close(): Promise<void> {
    await this.#pools.close();
  }

  async #sendOnce(request: HttpRequest, url: URL): Promise<HttpResponse> {
    const sameOrigin = url.origin === request.url.origin;
    const connection = connectionElsewhere(request.connection, request.url, url);
    const { authorization } = request;
    const own = authorization === undefined ? request.ownHeaders : { ...request.ownHeaders, authorization };
    const controller = new AbortController();
    const abort = () => controller.abort(request.signal.reason);
    request.signal.throwIfAborted();
    request.signal.addEventListener("abort", abort, { once: true });
    const detach = () => request.signal.removeEventListener("abort", abort);
    let interim = 0;
    try {
      refuseLocal(url, connection);
      const data = await this.#pools.dispatcher(url, connection).request({
        origin: url.origin,
        method: request.method,
        path: `${url.pathname}${url.search}`,
        headers: {
          "user-agent": "berth",
          "accept-encoding": "identity",
          ...request.headers,
          ...(sameOrigin ? own : {}),
        },
        body: request.body ?? null,
        signal: controller.signal,
        onInfo: () => {
          if (++interim > maxInterim) controller.abort(new Error(`more than ${maxInterim} interim answers`));
        },
        headersTimeout: this.#timings.headersMs,
        bodyTimeout: 0,
      });
      return new Response(data, url, request, controller, this.#timings, detach);
    } catch (error) {
      detach();
      request.signal.throwIfAborted();
      throw networkFailure(request.doing, url, error, this.#pools.proxyOf(url, connection));
    }
  }
}

/** A literal address; what a name leads to is looked at when it is resolved. */
function refuseLocal(url: URL, { foreign }: Connection): void {
  if (!foreign || !isLocalAddress(url.hostname)) return;
  const message = `"${url.hostname}" is an address of this machine, to which a registry may not send us`;
  throw Object.assign(new Error(message), { code: "EACCES" });
}

function redirectTarget(from: URL, location: string, { url, doing }: HttpRequest): URL {
  const target = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  // Without what would let in whoever reads the message: a password, or a signature behind the path.
  const shown = printable(location.replace(/[?#].*/s, "").replace(/\/\/[^/]*@/, "//"));
  const refuse = (why: string) =>
    new RegistryFailure("UNKNOWN", `${doing}: "${from.origin}" redirects to "${shown}": ${why}`);
  if (target === undefined || !/^https?:$/.test(target.protocol)) throw refuse("not an http or https URL");
  if (target.username !== "" || target.password !== "") throw refuse("it has credentials in it");
  if (from.protocol === "https:" && target.protocol === "http:") throw refuse("from https to http");
  const local = isLocalAddress(target.hostname) && target.hostname !== url.hostname;
  if (local && !isLocalAddress(url.hostname)) throw refuse("an address of this machine");
  return target;
}

class Response implements HttpResponse {
  readonly status: number;
  readonly url: URL;
  readonly #data: Dispatcher.ResponseData;
  readonly #request: HttpRequest;
  readonly #controller: AbortController;
  readonly #timings: Timings;
  readonly #detach: () => void;

  constructor(
    data: Dispatcher.ResponseData,
    url: URL,
    request: HttpRequest,
    controller: AbortController,
    timings: Timings,
    detach: () => void,
  ) {
    this.status = data.statusCode;
    this.url = url;
    this.#data = data;
    this.#request = request;
    this.#controller = controller;
    this.#timings = timings;
    this.#detach = detach;
  }

  header(name: string): string | undefined {
    return this.headers(name)[0];
  }

  headers(name: string): string[] {
    const value = this.#data.headers[name];
    return value === undefined ? [] : Array.isArray(value) ? value : [value];
  }

  async pour(sink: ByteSink): Promise<void> {
    const body = this.#data.body;
    const clock = new StallClock(this.#timings, () => this.#stall());
    let ours: { error: unknown } | undefined;
    let taking: Promise<void> | undefined;
    const fail = (error: unknown) => {
      ours ??= { error };
      body.destroy();
    };
    const goOn = () => {
      clock.resume();
      body.resume();
    };
    body.on("data", (piece: Uint8Array) => {
      clock.received(piece.byteLength);
      try {
        const full = sink(piece);
        if (full === undefined) return;
        clock.pause();
        body.pause();
        taking = full.then(goOn, fail);
      } catch (error) {
        fail(error);
      }
    });
    try {
      await finished(body, { writable: false });
      // The body may end before its last piece is taken.
      await taking;
      if (ours !== undefined) throw ours.error;
    } catch (error) {
      if (ours !== undefined) throw ours.error;
      this.#request.signal.throwIfAborted();
      throw networkFailure(this.#request.doing, this.url, this.#controller.signal.reason ?? error, null);
    } finally {
      clock.stop();
      this.#detach();
      body.destroy();
    }
  }

  async read(maxBytes: number, what: string): Promise<Uint8Array> {
    const tooLong = () => badContent(`${what} from "${this.url.origin}" is longer than ${maxBytes} bytes`);
    const pieces: Uint8Array[] = [];
    let length = 0;
    if (Number(this.header("content-length") ?? 0) > maxBytes) {
      await this.discard();
      throw tooLong();
    }
    await this.pour((piece) => {
      length += piece.byteLength;
      if (length > maxBytes) throw tooLong();
      pieces.push(piece);
      return undefined;
    });
    return Buffer.concat(pieces, length);
  }

  async discard(): Promise<void> {
    this.#detach();
    try {
      // A short body is read to its end so that the connection can be used again.
      await this.#data.body.dump({ limit: 16_384, signal: AbortSignal.timeout(discardMs) });
    } catch (error) {
      this.#data.body.destroy(error instanceof Error ? error : new Error(messageOf(error)));
    }
  }

  #stall(): void {
    const { stallBytes, stallMs } = this.#timings;
    this.#controller.abort(
      new RegistryFailure(
        "UNAVAILABLE",
        `RegistryUnavailable: ${this.#request.doing}: "${this.url.origin}" sent fewer than ${stallBytes} ` +
          `bytes in ${stallMs / 1000} s`,
        { retryable: true },
      ),
    );
  }
}
