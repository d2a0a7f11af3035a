import { type Call, throwIfAborted } from "../lib/call.ts";
import type { EndpointReport } from "../registry/endpoint-report.ts";
import { formatReference, parseReference } from "../registry/reference.ts";
import type { RegistryAuth } from "../types/image.ts";
import type { ImageDeps } from "./deps.ts";

/**
 * By which rules `image` is looked for at which hosts, and what each of them says: nothing is pulled. Errors
 * as for pullImage when there is no rule to follow; what a host says is in its report.
 */
export async function testRegistry(
  deps: Pick<ImageDeps, "registry">,
  call: Call,
  request: { image: string; auth?: RegistryAuth | undefined },
): Promise<{ image: string; endpoints: EndpointReport[] }> {
  const reference = parseReference(request.image);
  const asked = { reference, auth: request.auth, signal: call.signal };
  const endpoints = await deps.registry.report(asked);
  throwIfAborted(call, `test registry "${reference.host}"`);
  return { image: formatReference(reference), endpoints };
}
