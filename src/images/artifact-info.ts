// What is known of an artifact beside what it has in common with images.

import type { Digest, ImageId } from "../types/ids.ts";
import type { StoredArtifact } from "../types/image.ts";
import { annotationKeys, mediaTypes } from "../types/oci-image.ts";
import { filesOfArtifact } from "./artifact-files.ts";
import { readDocument } from "./read-manifest.ts";

export interface ArtifactInfo {
  /** As in the manifest's annotation: anything; "" when it has none. */
  readonly created: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly files: readonly {
    readonly name: string;
    readonly digest: Digest;
    readonly size: number;
    readonly mediaType: string;
  }[];
}

/** Throws what a pull would: the manifest was checked when the artifact came. */
export function artifactInfo(artifact: StoredArtifact, id: ImageId): ArtifactInfo {
  const what = `artifact "${id}"`;
  const document = readDocument(Buffer.from(artifact.manifest), mediaTypes.ociManifest, what);
  if (document.kind !== "manifest") return { created: "", annotations: {}, files: [] };
  const annotations = document.manifest.annotations ?? {};
  const files = filesOfArtifact(document.manifest, what).map(({ descriptor, file }) => ({
    name: file?.name ?? "",
    digest: descriptor.digest,
    size: descriptor.size,
    mediaType: descriptor.mediaType,
  }));
  return { created: annotations[annotationKeys.created] ?? "", annotations, files };
}
