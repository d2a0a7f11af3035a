// A registry in the test's own process, which can be told to misbehave.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { mediaTypes } from "../../../../src/types/oci-image.ts";
import { sha256 } from "./fake-layers.ts";

export type Handler = (
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
) => boolean | Promise<boolean>;

export interface Blob {
  readonly digest: string;
  readonly bytes: Buffer;
}

export class RegistryServer {
  readonly blobs = new Map<string, Buffer>();
  /** By "repository/tag" or "repository/digest". */
  readonly manifests = new Map<string, { type: string; bytes: Buffer }>();
  readonly requests: { method: string; path: string; headers: IncomingMessage["headers"] }[] = [];
  /** Asked before the ordinary answer; true when it answered. */
  intercept: Handler = () => false;
  readonly #server: Server = createServer((request, response) => void this.#serve(request, response));

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }
  get host(): string {
    return `127.0.0.1:${this.port}`;
  }
  get url(): string {
    return `http://${this.host}`;
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return this;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  paths(): string[] {
    return this.requests.map(({ path }) => path);
  }

  addBlob(bytes: Buffer): Blob {
    const digest = sha256(bytes);
    this.blobs.set(digest, bytes);
    return { digest, bytes };
  }

  addManifest(repository: string, tag: string, document: object, type: string): Blob {
    const bytes = Buffer.from(JSON.stringify(document));
    const digest = sha256(bytes);
    this.manifests.set(`${repository}/${tag}`, { type, bytes });
    this.manifests.set(`${repository}/${digest}`, { type, bytes });
    return { digest, bytes };
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://registry");
    this.requests.push({ method: request.method ?? "", path: url.pathname, headers: request.headers });
    try {
      if (await this.intercept(request, response, url)) return;
    } catch (error) {
      response.destroy(error as Error);
      return;
    }
    const manifest = /^\/v2\/(.+)\/manifests\/([^/]+)$/.exec(url.pathname);
    const blob = /^\/v2\/.+\/blobs\/([^/]+)$/.exec(url.pathname);
    const found = manifest ? this.manifests.get(`${manifest[1]}/${manifest[2]}`) : undefined;
    const bytes = blob ? this.blobs.get(blob[1] ?? "") : undefined;
    if (found !== undefined) {
      response.setHeader("content-type", found.type);
      response.setHeader("docker-content-digest", sha256(found.bytes));
      response.end(found.bytes);
    } else if (bytes !== undefined) {
      sendRange(request, response, bytes);
    } else {
      response.statusCode = 404;
      response.end(JSON.stringify({ errors: [{ code: "MANIFEST_UNKNOWN", message: "manifest unknown" }] }));
    }
  }
}

function sendRange(request: IncomingMessage, response: ServerResponse, bytes: Buffer): void {
  const first = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  if (first > 0) {
    response.statusCode = 206;
    response.setHeader("content-range", `bytes ${first}-${bytes.length - 1}/${bytes.length}`);
  }
  response.setHeader("content-length", bytes.length - first);
  response.end(bytes.subarray(first));
}

export interface MadeImage {
  readonly id: string;
  readonly digest: string;
  readonly layers: readonly Blob[];
  readonly manifest: { layers: object[]; config: object };
}

/** An image of layers whose contents are the given texts: gzip and zstd by turns. */
export function makeImage(
  server: RegistryServer,
  repository: string,
  tag: string,
  texts: readonly string[],
  change: { config?: object; manifest?: object; diffIds?: string[] } = {},
): MadeImage {
  const layers = texts.map((text, n) => {
    const tar = Buffer.from(text);
    const blob = server.addBlob(n % 2 === 0 ? gzipSync(tar) : zstdCompressSync(tar));
    const mediaType = `application/vnd.oci.image.layer.v1.tar+${n % 2 === 0 ? "gzip" : "zstd"}`;
    return {
      blob,
      diffId: sha256(tar),
      descriptor: { mediaType, digest: blob.digest, size: blob.bytes.length },
    };
  });
  const config = server.addBlob(
    Buffer.from(
      JSON.stringify({
        architecture: process.arch === "x64" ? "amd64" : "arm64",
        os: "linux",
        config: { Env: ["PATH=/bin"], Cmd: ["sh"], User: "1000:1000", Entrypoint: null },
        rootfs: { type: "layers", diff_ids: change.diffIds ?? layers.map(({ diffId }) => diffId) },
        ...change.config,
      }),
    ),
  );
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: mediaTypes.ociConfig, digest: config.digest, size: config.bytes.length },
    layers: layers.map(({ descriptor }) => descriptor),
    ...change.manifest,
  };
  const { digest } = server.addManifest(repository, tag, manifest, mediaTypes.ociManifest);
  return { id: config.digest, digest, layers: layers.map(({ blob }) => blob), manifest };
}
