// The calls of berth.v1.Images that move or check content.

import type { ServerReadableStream } from "@grpc/grpc-js";
import type {
  Credentials,
  ImportImageRequest,
  ImportImageResponse,
  PushImageRequest,
  PushImageResponse,
  PushProgress,
  RepairImageRequest,
  RepairImageResponse,
  SaveImageRequest,
  SaveImageResponse,
  VerifyImageRequest,
  VerifyImageResponse,
} from "../gen/berth/v1/images.ts";
import { importImage } from "../images/import-image.ts";
import { pushImage } from "../images/push-image.ts";
import { repairImage } from "../images/repair-image.ts";
import { saveImage } from "../images/save-image.ts";
import { verifyImage } from "../images/verify-image.ts";
import type { Call } from "../lib/call.ts";
import { BerthError } from "../lib/errors.ts";
import type { RegistryAuth } from "../types/image.ts";
import type { EngineDeps } from "./deps.ts";
import { withNews } from "./news.ts";

export async function serveSaveImage(
  deps: EngineDeps,
  call: Call,
  { references, format }: SaveImageRequest,
  send: (response: SaveImageResponse) => Promise<void>,
): Promise<void> {
  if (format !== "" && format !== "docker" && format !== "oci") {
    throw new BerthError("INVALID_ARGUMENT", `save images: format "${format}" is neither docker nor oci`);
  }
  const tar = await saveImage(deps, call, { references, format: format === "oci" ? "oci" : "docker" });
  for await (const data of tar) {
    call.signal.throwIfAborted();
    await send({ data: data as Buffer });
  }
}

export async function serveImportImage(
  deps: EngineDeps,
  call: Call,
  rpc: ServerReadableStream<ImportImageRequest, ImportImageResponse>,
): Promise<ImportImageResponse> {
  const messages = rpc[Symbol.asyncIterator]() as AsyncIterator<ImportImageRequest>;
  const first = await messages.next();
  if (first.done === true) throw new BerthError("INVALID_ARGUMENT", "import image: nothing was sent");
  const { reference, changes, message } = first.value;
  const source = async function* () {
    if (first.value.data.length > 0) yield first.value.data;
    for (;;) {
      const next = await messages.next();
      if (next.done === true) return;
      yield next.value.data;
    }
  };
  return { imageId: await importImage(deps, call, { reference, changes, message }, source()) };
}

export async function servePushImage(
  deps: EngineDeps,
  call: Call,
  { image, target, credentials }: PushImageRequest,
  send: (response: PushImageResponse) => Promise<void>,
): Promise<void> {
  const nothing = { layers: [], reference: "", digest: "", size: 0n, recompressed: [] };
  const request = { image, auth: authOf(credentials), ...(target === "" ? {} : { target }) };
  const pushed = await withNews<PushProgress, Awaited<ReturnType<typeof pushImage>>>(
    (layers) => send({ ...nothing, layers }),
    (tell) =>
      pushImage(deps, call, request, ({ layer, phase, bytes, total }) =>
        tell(layer, { layer, phase, bytes: BigInt(bytes), total: BigInt(total) }),
      ),
  );
  const { reference, digest, size, recompressed } = pushed;
  await send({ ...nothing, reference, digest, size: BigInt(size), recompressed: [...recompressed] });
}

export async function serveVerifyImage(
  deps: EngineDeps,
  call: Call,
  { reference, full }: VerifyImageRequest,
  send: (response: VerifyImageResponse) => Promise<void>,
): Promise<void> {
  const request = { full, reference: reference === "" ? undefined : reference };
  await verifyImage(deps, call, request, async ({ diffId, images, damage, entries }) => {
    await send({ diffId, images: [...images], damage, entries: [...entries] });
  });
}

export async function serveRepairImage(
  deps: EngineDeps,
  call: Call,
  { reference, credentials }: RepairImageRequest,
  send: (response: RepairImageResponse) => Promise<void>,
): Promise<void> {
  const request = { reference: reference === "" ? undefined : reference, auth: authOf(credentials) };
  for (const { imageId, name, layers, failure, containers } of await repairImage(deps, call, request)) {
    await send({ imageId, name, layers: [...layers], failure, containers: [...containers] });
  }
}

function authOf(credentials: Credentials | undefined): RegistryAuth | undefined {
  if (credentials === undefined) return undefined;
  const { username, password } = credentials;
  return { username, password, auth: "", serverAddress: "", identityToken: "", registryToken: "" };
}
