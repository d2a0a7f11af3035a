// Pulling an image with progress: for `berth pull`, and for `berth run` when the image is missing.

import type { Channel } from "./client/channel.ts";
import * as methods from "./client/methods.ts";
import { CliError } from "./errors.ts";
import { pullDisplay } from "./progress.ts";

export interface Pulled {
  readonly imageId: string;
  readonly repoDigests: readonly string[];
}

/** Pulls `image`, showing progress on `stream`. @throws RpcError */
export async function pullImage(
  channel: Channel,
  image: string,
  stream: NodeJS.WriteStream,
  quiet: boolean,
): Promise<Pulled> {
  const display = pullDisplay(stream, quiet);
  let last: Pulled | undefined;
  try {
    for await (const response of channel.stream(methods.pullImage, { image })) {
      if (response.layers.length > 0) display.update(response.layers);
      if (response.imageId !== "") last = response;
    }
  } finally {
    display.finish();
  }
  if (last === undefined) throw new CliError(`pull "${image}": the daemon named no image`);
  return last;
}
