// The calls that move images: pulling with progress, loading from a stream.

import type { ServerReadableStream } from "@grpc/grpc-js";
import type {
  LayerProgress,
  LoadImageRequest,
  LoadImageResponse,
  PullImageRequest,
  PullImageResponse,
} from "../gen/berth/v1/engine.ts";
import { imageStatus } from "../images/image-status.ts";
import { loadImage } from "../images/load-image.ts";
import { pullImage } from "../images/pull-image.ts";
import type { Call } from "../lib/call.ts";
import type { EngineDeps } from "./deps.ts";
import { withNews } from "./news.ts";
import { authOf } from "./serve-registries.ts";

/** Pulls an image and sends what became of its layers since the last message. */
export async function servePullImage(
  deps: EngineDeps,
  call: Call,
  request: PullImageRequest,
  send: (response: PullImageResponse) => Promise<void>,
): Promise<void> {
  const imageId = await withNews<LayerProgress, string>(
    (layers) => send({ layers, imageId: "", repoDigests: [] }),
    (tell) =>
      pullImage(
        deps,
        call,
        { image: request.image, auth: authOf(request.auth) },
        ({ bytes, total, rate, ...rest }) =>
          tell(rest.layer, { ...rest, bytes: BigInt(bytes), total: BigInt(total), rate: BigInt(rate) }),
      ),
  );
  const repoDigests = imageStatus(deps, imageId)?.repoDigests ?? [];
  await send({ layers: [], imageId, repoDigests: [...repoDigests] });
}

/** Loads the images of a tar that the client streams. */
export async function serveLoadImage(
  deps: EngineDeps,
  call: Call,
  rpc: ServerReadableStream<LoadImageRequest, LoadImageResponse>,
): Promise<LoadImageResponse> {
  const loaded = await loadImage(deps, call, bytesOf(rpc));
  return { images: loaded.map(({ id, references }) => ({ imageId: id, references })) };
}

async function* bytesOf(messages: AsyncIterable<LoadImageRequest>): AsyncGenerator<Uint8Array> {
  for await (const { data } of messages) yield data;
}
