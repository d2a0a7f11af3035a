// OCI artifacts made of given files, as the tools that push files make them, and put into a registry by plain
// uploads: nothing of ours has a hand in it.

import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { annotationKeys, type Descriptor, mediaTypes } from "../../src/types/oci-image.ts";

export interface ArtifactBlob {
  /** "": none. */
  readonly title?: string;
  readonly bytes: Buffer;
  readonly mediaType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly algorithm?: "sha256" | "sha512";
}

export interface MadeArtifact {
  readonly digest: string;
  readonly manifest: Buffer;
  readonly blobs: ReadonlyMap<string, Buffer>;
  readonly layers: readonly Descriptor[];
}

export const MODEL_TYPE = "application/vnd.test.model.v1";

export function digestOf(bytes: Uint8Array, algorithm = "sha256"): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`;
}

/** `changes` replace members of the manifest. Without a config it has the empty one. */
export function makeArtifact(
  files: readonly ArtifactBlob[],
  changes: object = {},
  config: { bytes: Buffer; mediaType: string } = { bytes: Buffer.from("{}"), mediaType: mediaTypes.ociEmpty },
): MadeArtifact {
  const blobs = new Map<string, Buffer>();
  const describe = (bytes: Buffer, mediaType: string, algorithm = "sha256"): Descriptor => {
    const digest = digestOf(bytes, algorithm);
    blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const layers = files.map(({ title = "", bytes, mediaType = "application/x-test", ...more }) => {
    const annotations = { ...more.annotations, ...(title === "" ? {} : { [annotationKeys.title]: title }) };
    const plain = describe(bytes, mediaType, more.algorithm);
    return Object.keys(annotations).length === 0 ? plain : { ...plain, annotations };
  });
  const document = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    artifactType: MODEL_TYPE,
    config: describe(config.bytes, config.mediaType),
    layers,
    ...changes,
  };
  const manifest = Buffer.from(JSON.stringify(document, null, 2));
  return { digest: digestOf(manifest), manifest, blobs, layers };
}

async function expectStatus(answer: Response, status: number): Promise<Response> {
  if (answer.status === status) return answer;
  throw new Error(`${answer.url} answers ${answer.status}: ${await answer.text()}`);
}

/** `target` is "repository:tag"; returns the whole reference. */
export async function pushArtifact(host: string, target: string, made: MadeArtifact): Promise<string> {
  const [repository = "", tag = ""] = target.split(":");
  for (const [digest, bytes] of made.blobs) {
    const started = await expectStatus(
      await fetch(`http://${host}/v2/${repository}/blobs/uploads/`, { method: "POST" }),
      202,
    );
    const location = new URL(started.headers.get("location") ?? "", `http://${host}`);
    location.searchParams.set("digest", digest);
    await expectStatus(await fetch(location, { method: "PUT", body: new Uint8Array(bytes) }), 201);
  }
  await putManifest(host, `${repository}:${tag}`, made.manifest, mediaTypes.ociManifest);
  return `${host}/${target}`;
}

export async function putManifest(host: string, target: string, bytes: Buffer, type: string): Promise<void> {
  const [repository = "", tag = ""] = target.split(":");
  const request = { method: "PUT", headers: { "content-type": type }, body: new Uint8Array(bytes) };
  await expectStatus(await fetch(`http://${host}/v2/${repository}/manifests/${tag}`, request), 201);
}

/** The manifest's bytes as the registry has them. */
export async function fetchManifest(host: string, target: string): Promise<Buffer> {
  const [repository = "", tag = ""] = target.split(":");
  const headers = { accept: [mediaTypes.ociManifest, mediaTypes.ociIndex].join(", ") };
  const answer = await fetch(`http://${host}/v2/${repository}/manifests/${tag}`, { headers });
  return Buffer.from(await (await expectStatus(answer, 200)).arrayBuffer());
}

export async function fetchBlob(host: string, repository: string, digest: string): Promise<Buffer> {
  const answer = await fetch(`http://${host}/v2/${repository}/blobs/${digest}`);
  return Buffer.from(await (await expectStatus(answer, 200)).arrayBuffer());
}

/** An image layout in a new directory. */
export function writeArtifactLayout(directory: string, made: MadeArtifact, name: string): void {
  mkdirSync(join(directory, "blobs/sha256"), { recursive: true });
  const put = (digest: string, bytes: Buffer) => {
    mkdirSync(join(directory, "blobs", digest.split(":")[0] ?? ""), { recursive: true });
    writeFileSync(join(directory, "blobs", digest.replace(":", "/")), bytes);
  };
  for (const [digest, bytes] of made.blobs) put(digest, bytes);
  put(made.digest, made.manifest);
  const entry = {
    mediaType: mediaTypes.ociManifest,
    artifactType: MODEL_TYPE,
    digest: made.digest,
    size: made.manifest.length,
    annotations: { "org.opencontainers.image.ref.name": name },
  };
  writeFileSync(join(directory, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(
    join(directory, "index.json"),
    JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [entry] }),
  );
}
