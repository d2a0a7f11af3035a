// What registries and archives hold: the JSON documents of the OCI image specification 1.1 and their Docker
// schema 2 twins, as TypeBox schemas. Unknown members are allowed, as the specification demands, and null
// stands for an absent optional member, since older tools write it.

import Type, { type Static } from "typebox";

/**
 * descriptor.md, "Digests". Algorithms that berth cannot compute are legal in documents; who uses such a
 * descriptor refuses it.
 */
const digest = Type.String({
  maxLength: 512,
  pattern:
    "^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}|" +
    "(?!sha256:|sha512:)[a-z0-9]+(?:[+._-][a-z0-9]+)*:[A-Za-z0-9=_-]+)$",
});
/** RFC 6838, section 4.2. */
const mediaType = Type.String({
  pattern: "^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$",
});
const orNull = <T extends Type.TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));
const texts = Type.Record(Type.String(), Type.String());

/** image-index.md, "platform". */
const platformSchema = Type.Object({
  architecture: Type.String(),
  os: Type.String(),
  "os.version": orNull(Type.String()),
  "os.features": orNull(Type.Array(Type.String())),
  variant: orNull(Type.String()),
  /** Docker's lists have it; the specification reserves it. */
  features: orNull(Type.Array(Type.String())),
});
export type ImagePlatform = Static<typeof platformSchema>;

/** descriptor.md. */
export const descriptorSchema = Type.Object({
  mediaType,
  digest,
  size: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  urls: orNull(Type.Array(Type.String())),
  annotations: orNull(texts),
  data: orNull(Type.String({ pattern: "^[A-Za-z0-9+/]*={0,2}$" })),
  artifactType: orNull(mediaType),
  platform: orNull(platformSchema),
});
export type Descriptor = Static<typeof descriptorSchema>;

/** manifest.md. Its "layers" may be empty: portability asks for one, images made FROM scratch have none. */
export const manifestSchema = Type.Object({
  schemaVersion: Type.Literal(2),
  mediaType: Type.Optional(mediaType),
  artifactType: orNull(mediaType),
  config: descriptorSchema,
  layers: Type.Array(descriptorSchema),
  subject: orNull(descriptorSchema),
  annotations: orNull(texts),
});
export type ImageManifest = Static<typeof manifestSchema>;

/** image-index.md. */
export const indexSchema = Type.Object({
  schemaVersion: Type.Literal(2),
  mediaType: Type.Optional(mediaType),
  artifactType: orNull(mediaType),
  manifests: Type.Array(descriptorSchema, { maxItems: 4096 }),
  subject: orNull(descriptorSchema),
  annotations: orNull(texts),
});
export type ImageIndex = Static<typeof indexSchema>;

/** image-layout.md, "oci-layout file". */
export const imageLayoutSchema = Type.Object({ imageLayoutVersion: Type.String({ pattern: "^1\\." }) });

/** No NUL: these strings reach execve, which would cut them there. */
const cString = Type.String({ pattern: "^[^\\u0000]*$" });
const stringSet = orNull(Type.Record(Type.String(), Type.Unknown()));

/** config.md, "config". */
const runtimeConfigSchema = Type.Object({
  User: orNull(cString),
  ExposedPorts: stringSet,
  Env: orNull(Type.Array(cString)),
  Entrypoint: orNull(Type.Array(cString)),
  Cmd: orNull(Type.Array(cString)),
  Volumes: stringSet,
  WorkingDir: orNull(cString),
  Labels: orNull(texts),
  StopSignal: orNull(cString),
  ArgsEscaped: orNull(Type.Boolean()),
});

const historySchema = Type.Object({
  created: orNull(Type.String()),
  author: orNull(Type.String()),
  created_by: orNull(Type.String()),
  comment: orNull(Type.String()),
  empty_layer: orNull(Type.Boolean()),
});

/** config.md. `architecture` and `os` are required there; images without them exist and run. */
export const imageConfigSchema = Type.Object({
  created: orNull(Type.String()),
  author: orNull(Type.String()),
  architecture: Type.Optional(Type.String()),
  os: Type.Optional(Type.String()),
  "os.version": orNull(Type.String()),
  "os.features": orNull(Type.Array(Type.String())),
  variant: orNull(Type.String()),
  config: orNull(runtimeConfigSchema),
  rootfs: Type.Object({ type: Type.Literal("layers"), diff_ids: orNull(Type.Array(digest)) }),
  history: orNull(Type.Array(historySchema)),
});
export type ImageConfig = Static<typeof imageConfigSchema>;

/** annotations.md, "Pre-Defined Annotation Keys". */
export const annotationKeys = {
  /** Of an artifact's blob: its file name, by the convention of the tools that push files. */
  title: "org.opencontainers.image.title",
  /** RFC 3339. */
  created: "org.opencontainers.image.created",
} as const;

export const mediaTypes = {
  ociManifest: "application/vnd.oci.image.manifest.v1+json",
  ociIndex: "application/vnd.oci.image.index.v1+json",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerList: "application/vnd.docker.distribution.manifest.list.v2+json",
  ociConfig: "application/vnd.oci.image.config.v1+json",
  dockerConfig: "application/vnd.docker.container.image.v1+json",
  /** "{}": the config of an artifact that has none (manifest.md, "Guidance for an Empty Descriptor"). */
  ociEmpty: "application/vnd.oci.empty.v1+json",
  ociLayer: "application/vnd.oci.image.layer.v1.tar",
  dockerLayer: "application/vnd.docker.image.rootfs.diff.tar",
} as const;
