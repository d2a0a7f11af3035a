// What the tests of the client share: two registries and clients that are closed again.

import { afterEach, beforeEach, expect } from "vitest";
import { RegistryClient, type RegistryRequest } from "../../../../src/registry/client.ts";
import { parseReference } from "../../../../src/registry/reference.ts";
import type { Timings } from "../../../../src/registry/transport.ts";
import type { RegistryConfig } from "../../../../src/types/config.ts";
import type { RegistryAuth } from "../../../../src/types/image.ts";
import { sha256 } from "../../images/support/fake-layers.ts";
import { RegistryServer } from "../../images/support/registry-server.ts";

export interface Stage {
  registry: RegistryServer;
  other: RegistryServer;
  client(config?: RegistryConfig, timings?: Partial<Timings>): RegistryClient;
}

/** Fresh servers for each test of the file. */
export function useStage(): Stage {
  const clients: RegistryClient[] = [];
  const stage: Stage = {
    registry: new RegistryServer(),
    other: new RegistryServer(),
    client(config = { hosts: {} }, timings = {}) {
      const made = new RegistryClient(config, { retryBaseMs: 1, retries: 2, ...timings });
      clients.push(made);
      return made;
    },
  };
  beforeEach(async () => {
    stage.registry = await new RegistryServer().listen();
    stage.other = await new RegistryServer().listen();
  });
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close()));
    await stage.registry.close();
    await stage.other.close();
  });
  return stage;
}

export function request(
  image: string,
  auth?: RegistryAuth,
  signal = new AbortController().signal,
): RegistryRequest {
  return { reference: parseReference(image), auth, signal };
}

export const coded = (code: string, text: string) =>
  expect.objectContaining({ code, message: expect.stringContaining(text) });

export async function readBlob(
  from: RegistryClient,
  asked: RegistryRequest,
  bytes: Buffer,
  size = bytes.length,
): Promise<Buffer> {
  const descriptor = { mediaType: "application/x", digest: sha256(bytes), size };
  const pieces: Uint8Array[] = [];
  await from.pour(asked, descriptor, (piece) => void pieces.push(piece));
  return Buffer.concat(pieces);
}
