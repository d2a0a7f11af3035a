// Calls of the CRI that berth does not have yet. They are registered all the same, so that the answer
// names the call and the log shows it.

import { BerthError } from "../lib/errors.ts";
import { type Surroundings, unary } from "./intercept.ts";

function refuse(method: string): never {
  throw new BerthError("UNIMPLEMENTED", `${method}: berth does not implement this call yet`);
}

/** A call with one answer, refused. */
export function unimplemented(surroundings: Surroundings, method: string) {
  return unary<unknown, never>(surroundings, () => refuse(method));
}
