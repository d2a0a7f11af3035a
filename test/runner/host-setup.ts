// Around all tests that need root: the host is left as it was found, also when the run before was killed.

import { sweepScratches } from "../e2e/support/scratch.ts";
import { rememberControllers } from "./controllers.ts";

export async function setup(): Promise<() => void> {
  if (process.getuid?.() !== 0) return () => {};
  await sweepScratches();
  return rememberControllers();
}
