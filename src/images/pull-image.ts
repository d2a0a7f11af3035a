import { type Call, throwIfAborted } from "../lib/call.ts";
import { messageOf } from "../lib/errors.ts";
import { withSteps } from "../lib/undo.ts";
import type { RegistryClient, RegistryRequest } from "../registry/client.ts";
import { fingerprint } from "../registry/credentials.ts";
import { formatReference, nameOf, parseReference, type Reference } from "../registry/reference.ts";
import type { ImageRef } from "../store/image-refs.ts";
import type { Digest, ImageId } from "../types/ids.ts";
import type { RegistryAuth } from "../types/image.ts";
import type { ContentSource } from "./content-source.ts";
import type { ImageDeps } from "./deps.ts";
import { installImage } from "./install-image.ts";
import { logPull } from "./log-pull.ts";
import type { ProgressListener } from "./progress.ts";

/**
 * Pulls an image and returns its id. Callers with the same reference and credentials share one pull, which
 * goes on while at least one of them stays. A tag that points elsewhere now moves; the image it named stays.
 * A reference with a digest makes no tag. `onProgress` must not throw.
 *
 * Errors: INVALID_ARGUMENT (malformed reference), NOT_FOUND, PERMISSION_DENIED, UNAVAILABLE (the message
 * begins with "RegistryUnavailable"), DATA_LOSS (content is not what its digest or size says),
 * RESOURCE_EXHAUSTED (limits, full disk), UNIMPLEMENTED, CANCELLED.
 */
export async function pullImage(
  deps: ImageDeps,
  call: Call,
  request: { image: string; auth?: RegistryAuth | undefined },
  onProgress?: ProgressListener,
): Promise<ImageId> {
  const reference = parseReference(request.image);
  const doing = `pull image "${formatReference(reference)}"`;
  throwIfAborted(call, doing);
  // Whoever has no right to the image must not get it by joining a pull of somebody who has.
  const key = `${formatReference(reference)}\n${fingerprint(request.auth)}`;
  const stopWatching = deps.progress.watch(key, onProgress);
  try {
    return await deps.pulls.join(key, call.signal, (signal) =>
      pull(deps, { ...call, signal }, reference, request.auth, key),
    );
  } catch (error) {
    throwIfAborted(call, doing);
    throw error;
  } finally {
    stopWatching();
  }
}

async function pull(
  deps: ImageDeps,
  call: Call,
  reference: Reference,
  auth: RegistryAuth | undefined,
  key: string,
): Promise<ImageId> {
  const request: RegistryRequest = { reference, auth, signal: call.signal };
  const what = `image "${formatReference(reference)}"`;
  const recorder = deps.progress.begin(key, formatReference(reference));
  try {
    const imageId = await withSteps("pullImage", call, async (steps) => {
      recorder.enter("resolve");
      const root = await steps.run("resolve", () =>
        deps.registry.resolve(request, deps.config.images.maxManifestBytes),
      );
      const source = registrySource(deps.registry, request, root.from);
      return await installImage(
        { deps, call, source, what, recorder },
        steps,
        root,
        refsOf(reference, root.digest),
      );
    });
    logPull(call.log, deps.progress.end(key, recorder, { imageId }));
    return imageId;
  } catch (error) {
    logPull(call.log, deps.progress.end(key, recorder, { error: messageOf(error) }));
    throw error;
  }
}

/** The names an image gets: as they were asked for, wherever the content came from. */
function refsOf(reference: Reference, digest: Digest): ImageRef[] {
  const byDigest: ImageRef = { ref: `${nameOf(reference)}@${digest}`, kind: "digest" };
  if (reference.digest !== undefined) return [byDigest];
  return [{ ref: formatReference(reference), kind: "tag" }, byDigest];
}

function registrySource(registry: RegistryClient, request: RegistryRequest, from: string): ContentSource {
  return {
    async manifest(descriptor, maxBytes, signal) {
      const { host, repository } = request.reference;
      const reference: Reference = { host, repository, digest: descriptor.digest };
      return (await registry.resolve({ ...request, reference, signal }, maxBytes)).bytes;
    },
    pour: (descriptor, sink, signal, options) =>
      registry.pour({ ...request, signal }, descriptor, sink, { from, ...options }),
    isRemote: true,
  };
}
