// Pulling an image with progress: for `berth pull`, and for `berth run` when the image is missing.

import type { RegistryAuth } from "../gen/berth/v1/engine.ts";
import * as methods from "./client/methods.ts";
import type { Context } from "./command.ts";
import { CliError } from "./errors.ts";
import { pullDisplay } from "./progress.ts";
import { credentialsOfImage } from "./registry-credentials.ts";

export interface Pulled {
  readonly imageId: string;
  readonly repoDigests: readonly string[];
}

export interface PullOptions {
  /** Where progress is shown. */
  readonly stream: NodeJS.WriteStream;
  readonly quiet: boolean;
  /** Instead of those in docker's config.json. */
  readonly auth?: RegistryAuth | undefined;
}

/** Pulls `image` with the caller's credentials, showing progress. @throws RpcError */
export async function pullImage(context: Context, image: string, options: PullOptions): Promise<Pulled> {
  const auth = options.auth ?? (await credentialsOfImage(context, image));
  const channel = await context.channel();
  const display = pullDisplay(options.stream, options.quiet);
  let last: Pulled | undefined;
  try {
    for await (const response of channel.stream(methods.pullImage, { image, auth })) {
      if (response.layers.length > 0) display.update(response.layers);
      if (response.imageId !== "") last = response;
    }
  } finally {
    display.finish();
  }
  if (last === undefined) throw new CliError(`pull "${image}": the daemon named no image`);
  return last;
}
