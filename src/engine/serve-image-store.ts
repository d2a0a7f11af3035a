// The service berth.v1.Images: names, archives, registries, disk. Requests to verbs, results to answers.

import type { Server } from "@grpc/grpc-js";
import { exportContainer } from "../containers/export-container.ts";
import { type ImagesServer, ImagesService } from "../gen/berth/v1/images.ts";
import { diskUsage } from "../images/disk-usage.ts";
import { pruneImages } from "../images/prune-images.ts";
import { tagImage } from "../images/tag-image.ts";
import { untagImage } from "../images/untag-image.ts";
import type { EngineDeps } from "./deps.ts";
import { callOf, serverStream, unary } from "./rpc.ts";
import {
  serveImportImage,
  servePushImage,
  serveRepairImage,
  serveSaveImage,
  serveVerifyImage,
} from "./serve-image-transfers.ts";
import { serviceError } from "./status.ts";

/** Adds the service berth.v1.Images to `server`. */
export function serveImageStore(server: Server, deps: EngineDeps): void {
  const handlers: ImagesServer = {
    tagImage: unary(deps, async (call, request) => ({ imageId: await tagImage(deps, call, request) })),
    untagImage: unary(deps, async (call, request) => {
      const { imageId, untagged, removed } = await untagImage(deps, call, request);
      return { imageId, untagged: [...untagged], removed };
    }),
    pruneImages: unary(deps, async (call, { all, unusedSeconds }) => {
      const unusedMs = Number(unusedSeconds) * 1000;
      const { images, failures } = await pruneImages(deps, call, { all, unusedMs });
      return {
        images: images.map(({ id, references, freedBytes }) => ({
          imageId: id,
          references: [...references],
          freedBytes: BigInt(freedBytes),
        })),
        freedBytes: BigInt(images.reduce((sum, { freedBytes }) => sum + freedBytes, 0)),
        failures: [...failures],
      };
    }),
    saveImage: serverStream(deps, (call, request, send) => serveSaveImage(deps, call, request, send)),
    importImage: (rpc, answer) => {
      serveImportImage(deps, callOf(rpc, deps), rpc).then(
        (response) => answer(null, response),
        (error) => answer(serviceError(error)),
      );
    },
    exportContainer: serverStream(deps, async (call, { containerId }, send) => {
      for await (const data of exportContainer(deps, call, containerId)) {
        call.signal.throwIfAborted();
        await send({ data: data as Buffer });
      }
    }),
    pushImage: serverStream(deps, (call, request, send) => servePushImage(deps, call, request, send)),
    verifyImage: serverStream(deps, (call, request, send) => serveVerifyImage(deps, call, request, send)),
    repairImage: serverStream(deps, (call, request, send) => serveRepairImage(deps, call, request, send)),
    diskUsage: unary(deps, async () => {
      const { root, entries, bytes, freeBytes, capacityBytes } = await diskUsage(deps);
      return {
        root,
        entries: entries.map(({ kind, total, active, bytes: size, reclaimableBytes }) => ({
          kind,
          total: BigInt(total),
          active: BigInt(active),
          size: BigInt(size),
          reclaimable: BigInt(reclaimableBytes),
        })),
        size: BigInt(bytes),
        free: BigInt(freeBytes),
        capacity: BigInt(capacityBytes),
      };
    }),
  };
  server.addService(ImagesService, handlers);
}
