// Says at the start what would otherwise be met at the first container.

import type { Handlers } from "../handlers/handlers.ts";
import { readHooks } from "../handlers/read-hooks.ts";
import type { Logger } from "../lib/call.ts";
import { messageOf } from "../lib/errors.ts";
import type { BerthConfig } from "../types/config.ts";

/** Runtimes that cannot be executed, and malformed hook files. Neither keeps the daemon from starting. */
export async function complainOfHandlers(
  deps: {
    readonly handlers: Handlers;
    readonly config: BerthConfig;
  },
  log: Logger,
): Promise<void> {
  for (const complaint of await deps.handlers.complaints()) log.warn({}, complaint);
  await readHooks(deps.config.hooksDirs).catch((error: unknown) => {
    log.error({ error: messageOf(error) }, "no container can be created until this is mended");
  });
}
