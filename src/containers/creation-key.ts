import type { PodId } from "../types/ids.ts";

/** Key of a CreateContainer in `deps.creating`. */
export function creationKey(podId: PodId, name: string, attempt: number): string {
  return `${podId}/${attempt}/${name}`;
}
