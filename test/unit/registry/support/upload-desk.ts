// The pushing half of a registry: uploads in chunks, each answer with a location that is good once, and ways
// to misbehave.

import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { sha256 } from "../../images/support/fake-layers.ts";
import type { RegistryServer } from "../../images/support/registry-server.ts";

interface Upload {
  bytes: Buffer;
  /** The last part of the location that counts now. */
  token: string;
}

export interface Patch {
  readonly first: number;
  readonly end: number;
}

export class UploadDesk {
  readonly #registry: RegistryServer;
  readonly #uploads = new Map<string, Upload>();
  /** Every PATCH that came, as its Content-Range says. */
  readonly patches: Patch[] = [];
  begun = 0;
  /** Cuts the connection of the n-th PATCH (from 0) after so many of its bytes, which are kept. */
  cutAfter: (n: number) => number | undefined = () => undefined;
  /** Changes what was taken of the n-th PATCH: the answer's Range tells so much. */
  take: (n: number, bytes: Buffer) => Buffer = (_, bytes) => bytes;
  /** Asked first for anything about an upload; true when it answered. */
  intercept: (request: IncomingMessage, response: ServerResponse) => boolean = () => false;

  constructor(registry: RegistryServer) {
    this.#registry = registry;
    registry.intercept = (request, response, url) => this.#serve(request, response, url);
  }

  /** As a registry does that was started anew without its memory. */
  forget(): void {
    this.#uploads.clear();
  }

  async #serve(request: IncomingMessage, response: ServerResponse, url: URL): Promise<boolean> {
    const match = /^\/v2\/(.+)\/blobs\/uploads\/(?:([0-9a-f]+)\/([0-9a-f]+))?$/.exec(url.pathname);
    if (match === null) return false;
    if (this.intercept(request, response)) return true;
    const [, repository = "", id, token] = match;
    if (id === undefined) {
      this.begun++;
      const made = randomBytes(4).toString("hex");
      this.#uploads.set(made, { bytes: Buffer.alloc(0), token: "" });
      return this.#answer(response, 202, repository, made);
    }
    const upload = this.#uploads.get(id);
    if (upload === undefined) return status(response, 404);
    if (request.method === "GET") return this.#answer(response, 204, repository, id);
    if (upload.token !== token) return status(response, 404);
    if (request.method === "PATCH") return await this.#patch(request, response, { repository, id, upload });
    const digest = url.searchParams.get("digest") ?? "";
    this.#uploads.delete(id);
    if (sha256(upload.bytes) !== digest) return status(response, 400);
    this.#registry.blobs.set(digest, upload.bytes);
    return status(response, 201);
  }

  async #patch(
    request: IncomingMessage,
    response: ServerResponse,
    { repository, id, upload }: { repository: string; id: string; upload: Upload },
  ): Promise<boolean> {
    const [first = 0, last = 0] = (request.headers["content-range"] ?? "").split("-").map(Number);
    const number = this.patches.push({ first, end: last + 1 }) - 1;
    const cut = this.cutAfter(number);
    if (first !== upload.bytes.length) {
      request.resume();
      return this.#answer(response, 416, repository, id);
    }
    const pieces: Buffer[] = [];
    let length = 0;
    for await (const piece of request) {
      pieces.push(piece as Buffer);
      length += (piece as Buffer).length;
      if (cut !== undefined && length >= cut) break;
    }
    const came = Buffer.concat(pieces).subarray(0, cut);
    upload.bytes = Buffer.concat([upload.bytes, this.take(number, came)]);
    if (cut === undefined) return this.#answer(response, 202, repository, id);
    request.socket.destroy();
    return true;
  }

  #answer(response: ServerResponse, code: number, repository: string, id: string): boolean {
    const upload = this.#uploads.get(id) as Upload;
    upload.token = randomBytes(4).toString("hex");
    const last = Math.max(0, upload.bytes.length - 1);
    response.writeHead(code, {
      location: `/v2/${repository}/blobs/uploads/${id}/${upload.token}`,
      range: `0-${last}`,
      "content-length": "0",
    });
    response.end();
    return true;
  }
}

function status(response: ServerResponse, code: number): boolean {
  response.writeHead(code, { "content-length": "0" });
  response.end();
  return true;
}
