import { formatReference, parseReference } from "../registry/reference.ts";
import type { PullRecord } from "../types/pull.ts";
import type { ImageDeps } from "./deps.ts";

/**
 * Pulls that run and the last ones that ended, the youngest first: all, or those of `image`. INVALID_ARGUMENT
 * when it is no reference.
 */
export function listPulls(deps: Pick<ImageDeps, "progress">, image: string): PullRecord[] {
  const records = deps.progress.records();
  if (image === "") return records;
  const wanted = formatReference(parseReference(image));
  return records.filter((record) => record.image === wanted);
}
