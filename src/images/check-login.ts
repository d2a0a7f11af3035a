import { type Call, throwIfAborted } from "../lib/call.ts";
import { BerthError } from "../lib/errors.ts";
import { printable } from "../registry/failure.ts";
import { parseReference } from "../registry/reference.ts";
import type { RegistryAuth } from "../types/image.ts";
import type { ImageDeps } from "./deps.ts";

/**
 * Asks the registry whether it takes the credentials. Errors: INVALID_ARGUMENT (no host), PERMISSION_DENIED,
 * UNAVAILABLE, CANCELLED.
 */
export async function checkLogin(
  deps: Pick<ImageDeps, "registry">,
  call: Call,
  request: { registry: string; auth: RegistryAuth },
): Promise<void> {
  // The grammar of references says what a host is.
  const { host } = parseReference(`${request.registry}/x/x`);
  // A word that is no host would begin a name at docker's own registry, which must not get them.
  if (host !== request.registry) {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `log in to registry "${printable(request.registry)}": it is no host; one has a dot or a port in it`,
    );
  }
  try {
    await deps.registry.login(host, request.auth, call.signal);
  } catch (error) {
    throwIfAborted(call, `log in to registry "${host}"`);
    throw error;
  }
}
