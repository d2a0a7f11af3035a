// Images, layers, and what the registry needs to know of its caller.

import type { Digest, ImageId, Micros } from "./ids.ts";

/** What berth uses of an image's config (image-spec, config.md). */
export interface ImageRuntimeConfig {
  readonly user: string;
  readonly env: readonly string[];
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly workingDir: string;
  readonly stopSignal: string;
  readonly volumes: readonly string[];
  readonly exposedPorts: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

/** A row of `images`. It exists only when every layer is unpacked and synced. */
export interface Image {
  readonly id: ImageId;
  /** Bytes of the config and of the layers as the registry holds them; always above 0. */
  readonly size: number;
  readonly config: ImageRuntimeConfig;
  /** The config blob as pulled, UTF-8 JSON; "" of an artifact. */
  readonly configJson: string;
  /** Null of an image, which containers are made from. An artifact is only mounted. */
  readonly artifact: StoredArtifact | null;
  readonly manifestDigest: Digest;
  readonly architecture: string;
  readonly os: string;
  readonly pulledAt: Micros;
  readonly pinned: boolean;
  /** "registry/repository:tag", normalised. */
  readonly repoTags: readonly string[];
  /** "registry/repository@sha256:…". */
  readonly repoDigests: readonly string[];
  /** Numbers of the layers, the lowest first: the names of their directories. */
  readonly layers: readonly number[];
}

export interface StoredArtifact {
  /** A media type. */
  readonly type: string;
  /** UTF-8 JSON. */
  readonly manifest: string;
}

/** An artifact on its way into the store. Its config may be any bytes. */
export interface NewArtifact {
  readonly type: string;
  readonly config: Uint8Array;
}

/** As much of an image as a list shows. */
export type ListedImage = Pick<Image, "id" | "size" | "pulledAt" | "pinned" | "repoTags" | "repoDigests"> & {
  readonly config: Pick<ImageRuntimeConfig, "user" | "entrypoint" | "cmd">;
  /** As in the image's config, or the annotation of an artifact: anything. */
  readonly created: string;
  /** "" of an image. */
  readonly artifactType: string;
};

/** A row of `layers`: one unpacked, synced directory or image. */
export interface Layer {
  readonly number: number;
  /** Digest of its tar; of an artifact's file what stands for it (filesOfArtifact). */
  readonly diffId: Digest;
  /** Of the tar in which an artifact's file is kept; absent when that is the diff ID. */
  readonly tarDigest?: Digest | undefined;
  /** Digest and size of the compressed blob it came from. */
  readonly blobDigest: Digest;
  readonly blobSize: number;
  readonly unpackedBytes: number;
  readonly entries: number;
  readonly createdAt: Micros;
}

/** Credentials of one pull (CRI AuthConfig). Never logged. */
export interface RegistryAuth {
  readonly username: string;
  readonly password: string;
  readonly auth: string;
  readonly serverAddress: string;
  readonly identityToken: string;
  readonly registryToken: string;
}

export interface FilesystemUsage {
  readonly mountpoint: string;
  readonly usedBytes: number;
  readonly inodesUsed: number;
  readonly timestamp: Micros;
}
