import type { ImageDeps } from "../images/deps.ts";
import type { StepObserver } from "../lib/call.ts";
import type { PodDeps } from "../pods/deps.ts";

/** What the verbs behind berth's own API need. */
export type EngineDeps = PodDeps & ImageDeps & { readonly observeStep?: StepObserver | undefined };
