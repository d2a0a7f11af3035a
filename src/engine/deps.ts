import type { ImageDeps } from "../images/deps.ts";
import type { Logger, StepObserver } from "../lib/call.ts";
import type { PodDeps } from "../pods/deps.ts";

/** What the verbs behind berth's own API need, and where their calls log. */
export type EngineDeps = PodDeps &
  ImageDeps & { readonly log?: Logger | undefined; readonly observeStep?: StepObserver | undefined };
