// Whether ids that are nobody's on the host can get to a directory.

import { stat } from "node:fs/promises";
import { dirname } from "node:path";

const SEARCHABLE_BY_OTHERS = 0o001;

/** The first directory on the way from `path` up to the root that lets only some users pass; null: none. */
export async function closedDirectory(path: string): Promise<{ path: string; mode: number } | null> {
  for (let at = path; ; at = dirname(at)) {
    const { mode } = await stat(at);
    if ((mode & SEARCHABLE_BY_OTHERS) === 0) return { path: at, mode: mode & 0o7777 };
    if (at === dirname(at)) return null;
  }
}
