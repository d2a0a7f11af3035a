import { type Call, throwIfAborted } from "../lib/call.ts";
import { nowMicros } from "../lib/clock.ts";
import { BerthError } from "../lib/errors.ts";
import { withSteps } from "../lib/undo.ts";
import { formatReference, parseReference } from "../registry/reference.ts";
import { durably } from "../store/durable.ts";
import { putRefs } from "../store/image-refs.ts";
import type { ImageId } from "../types/ids.ts";
import type { ImageDeps } from "./deps.ts";
import { recordImage } from "./image-record.ts";
import { resolveImage } from "./resolve-image.ts";

/**
 * Gives the image that `source` names the further name `target`. A name that another image has moves; that
 * image stays, maybe without a name. Errors: NOT_FOUND, INVALID_ARGUMENT (malformed; a target with a digest).
 */
export async function tagImage(
  deps: ImageDeps,
  call: Call,
  request: { source: string; target: string },
): Promise<ImageId> {
  const doing = `tag image "${request.source}"`;
  const reference = parseReference(request.target);
  if (reference.digest !== undefined) {
    throw new BerthError("INVALID_ARGUMENT", `${doing}: "${request.target}" has a digest; a tag is a name`);
  }
  throwIfAborted(call, doing);
  return await withSteps("TagImage", call, async (steps) => {
    const { id, others } = await steps.run("commit", () =>
      durably(deps.store, () => {
        const image = resolveImage(deps.store, request.source);
        if (image === null) throw new BerthError("NOT_FOUND", `${doing}: there is no such image`);
        const others = putRefs(deps.store, image.id, [{ ref: formatReference(reference), kind: "tag" }]);
        return { id: image.id, others };
      }),
    );
    steps.commit();
    deps.events({ type: "image-tagged", imageId: id, at: nowMicros() });
    for (const changed of [id, ...others]) {
      await steps.run("record", () => recordImage(deps, call.log, changed));
    }
    return id;
  });
}
