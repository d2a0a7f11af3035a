// What registries send: OCI image manifests, indexes and configs (image-spec 1.1) and their Docker
// schema 2 twins, as TypeBox schemas. Unknown members are allowed, as the specification demands.

import Type, { type Static } from "typebox";

const digest = Type.String({ pattern: "^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$" });
const mediaType = Type.String({ maxLength: 255 });

const platformSchema = Type.Object({
  architecture: Type.String(),
  os: Type.String(),
  variant: Type.Optional(Type.String()),
});

export const descriptorSchema = Type.Object({
  mediaType,
  digest,
  size: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  platform: Type.Optional(platformSchema),
  annotations: Type.Optional(Type.Record(Type.String(), Type.String())),
});
export type Descriptor = Static<typeof descriptorSchema>;

export const manifestSchema = Type.Object({
  schemaVersion: Type.Literal(2),
  mediaType: Type.Optional(mediaType),
  config: descriptorSchema,
  layers: Type.Array(descriptorSchema),
});
export type ImageManifest = Static<typeof manifestSchema>;

export const indexSchema = Type.Object({
  schemaVersion: Type.Literal(2),
  mediaType: Type.Optional(mediaType),
  manifests: Type.Array(descriptorSchema, { maxItems: 4096 }),
});
export type ImageIndex = Static<typeof indexSchema>;

/** No NUL: these strings reach execve, which would cut them there. */
const cString = Type.String({ pattern: "^[^\\u0000]*$" });
const orNull = <T extends Type.TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));
const stringSet = orNull(Type.Record(Type.String(), Type.Unknown()));

const runtimeConfigSchema = Type.Object({
  User: orNull(cString),
  Env: orNull(Type.Array(cString)),
  Entrypoint: orNull(Type.Array(cString)),
  Cmd: orNull(Type.Array(cString)),
  WorkingDir: orNull(cString),
  StopSignal: orNull(cString),
  Volumes: stringSet,
  ExposedPorts: stringSet,
  Labels: orNull(Type.Record(Type.String(), Type.String())),
});

export const imageConfigSchema = Type.Object({
  architecture: Type.Optional(Type.String()),
  os: Type.Optional(Type.String()),
  variant: Type.Optional(Type.String()),
  config: orNull(runtimeConfigSchema),
  rootfs: Type.Object({ type: Type.Literal("layers"), diff_ids: orNull(Type.Array(digest)) }),
});
export type ImageConfig = Static<typeof imageConfigSchema>;

export const mediaTypes = {
  ociManifest: "application/vnd.oci.image.manifest.v1+json",
  ociIndex: "application/vnd.oci.image.index.v1+json",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerList: "application/vnd.docker.distribution.manifest.list.v2+json",
  ociConfig: "application/vnd.oci.image.config.v1+json",
  dockerConfig: "application/vnd.docker.container.image.v1+json",
} as const;
