// Runtime handlers that this daemon has.

import { BerthError } from "../lib/errors.ts";

/** "" is the default handler, by the CRI; "native" names the same one. */
export const HANDLERS: readonly string[] = ["", "native"];

/** NOT_FOUND for a handler that is not there, with the list of those that are. */
export function requireHandler(handler: string, doing: string): void {
  if (HANDLERS.includes(handler)) return;
  const known = HANDLERS.filter((name) => name !== "").map((name) => `"${name}"`);
  throw new BerthError(
    "NOT_FOUND",
    `${doing}: runtime handler "${handler}" is not configured; ` +
      `there is ${known.join(", ")}, and "" for the default`,
  );
}
