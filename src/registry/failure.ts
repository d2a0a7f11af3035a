// What can go wrong with a registry, in words, and whether it is worth another try.

import { BerthError, type ErrorCode, messageOf } from "../lib/errors.ts";
import { withoutPassword } from "./proxies.ts";

/** A failure of one request. Those of the network begin with "RegistryUnavailable", as the CRI wants. */
export class RegistryFailure extends BerthError {
  /** Whether the same request may succeed in a moment. */
  readonly retryable: boolean;
  /** What the registry asked for with Retry-After. */
  readonly retryAfterMs: number | undefined;
  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; retryable?: boolean; retryAfterMs?: number | undefined } = {},
  ) {
    super(code, message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "RegistryFailure";
    this.retryable = options.retryable ?? false;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Content that is not what its digest, its size or the protocol says. */
export function badContent(message: string): RegistryFailure {
  return new RegistryFailure("DATA_LOSS", message);
}

/** Nothing is gained by asking again at once: nobody is there, or the name is wrong. */
const nobodyThere = /^(?:UND_ERR_CONNECT_TIMEOUT|ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|EACCES)$/;
const untrusted =
  /^(?:CERT_|ERR_OSSL|SELF_SIGNED|UNABLE_TO|DEPTH_ZERO|ERR_TLS|ERR_SSL|EPROTO|HOSTNAME_MISMATCH)/;

/** Turns what the HTTP client threw into a failure that names the registry. */
export function networkFailure(doing: string, where: URL, error: unknown, proxy: string | null): BerthError {
  if (error instanceof BerthError) return error;
  const through = proxy === null ? "" : ` through proxy "${withoutPassword(proxy)}"`;
  const thrown = (error as { code?: unknown } | null)?.code;
  const code = typeof thrown === "string" ? thrown : "";
  // Node ends some messages with advice on its own options.
  const text = printable(messageOf(error)).split("; ", 1)[0] || code || "no reason given";
  const advice = untrusted.test(code)
    ? `set ca under [registry.hosts."${where.host}"], or let this host trust its certificate authority`
    : "check the network and the address";
  return new RegistryFailure(
    "UNAVAILABLE",
    `RegistryUnavailable: ${doing} at "${where.origin}"${through}: ${text}; ${advice}`,
    { cause: error, retryable: !nobodyThere.test(code) && !untrusted.test(code) },
  );
}

/**
 * The failure that a status code means, of a request to `verb` ("get", "upload") `what`. `detail` is the
 * registry's own text, already made harmless.
 */
export function statusFailure(
  { verb, what }: { readonly verb: string; readonly what: string },
  where: URL,
  status: number,
  detail: string,
  retryAfterMs: number | undefined,
): RegistryFailure {
  const says = `${status}${detail === "" ? "" : ` (${detail})`}`;
  if (status === 404) {
    return new RegistryFailure("NOT_FOUND", `${what} not found in registry "${where.origin}": ${says}`);
  }
  if (status === 401 || status === 403) {
    return new RegistryFailure(
      "PERMISSION_DENIED",
      `registry "${where.origin}" denies access to ${what}: ${says}; check the name and the credentials`,
    );
  }
  if (status === 429 || status >= 500) {
    const later = retryAfterMs === undefined ? "later" : `in ${Math.ceil(retryAfterMs / 1000)} s, as it asks`;
    return new RegistryFailure(
      "UNAVAILABLE",
      `RegistryUnavailable: ${verb} ${what}: registry "${where.origin}" answers ${says}; try again ${later}`,
      { retryable: status === 429 || status !== 501, retryAfterMs },
    );
  }
  return new RegistryFailure("UNKNOWN", `${verb} ${what}: registry "${where.origin}" answers ${says}`);
}

/** A registry's text for a message: one line, no control characters, at most 200 characters. */
export function printable(text: string): string {
  const line = text.replace(/[\s\p{C}]+/gu, " ").trim();
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}
