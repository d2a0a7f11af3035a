// ImageSpec and AuthConfig, from their wire types.

import type * as proto from "../gen/runtime/v1/api.ts";
import type { ImageRequest } from "../types/container.ts";
import type { RegistryAuth } from "../types/image.ts";
import { filled, present, text } from "./fields.ts";

/** An image that is asked for. Its reference has to be there. */
export function imageRequestFromProto(message: proto.ImageSpec | undefined, path: string): ImageRequest {
  const spec = present(message, path);
  return {
    image: filled(spec.image, `${path}.image`),
    annotations: { ...spec.annotations },
    userSpecifiedImage: text(spec.userSpecifiedImage, `${path}.user_specified_image`),
    runtimeHandler: text(spec.runtimeHandler, `${path}.runtime_handler`),
    imageRef: text(spec.imageRef, `${path}.image_ref`),
  };
}

/** Credentials of a pull. Absent: none. Error messages never repeat them. */
export function authFromProto(message: proto.AuthConfig | undefined): RegistryAuth | undefined {
  if (message === undefined) return undefined;
  const { username, password, auth, serverAddress, identityToken, registryToken } = message;
  return { username, password, auth, serverAddress, identityToken, registryToken };
}
