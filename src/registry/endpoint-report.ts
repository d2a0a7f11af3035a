// What one endpoint is, and what it says of an image: for people who wonder why a pull does what it does.

import { messageOf } from "../lib/errors.ts";
import type { Endpoint } from "./endpoint.ts";
import { repositoryAt } from "./endpoint.ts";
import { withoutPassword } from "./proxies.ts";
import type { Asker, Requester } from "./requester.ts";

export interface EndpointReport {
  readonly url: string;
  /** The repository's name there. */
  readonly repository: string;
  readonly isMirror: boolean;
  readonly rule: string;
  readonly capabilities: readonly string[];
  /** "": none. */
  readonly proxy: string;
  /** How many authorities are trusted beside those of the host. */
  readonly authorities: number;
  readonly clientCertificate: boolean;
  readonly skipVerify: boolean;
  /** Names of headers that are sent to it. */
  readonly headers: readonly string[];
  readonly credentials: "call" | "docker_config" | "";
  /** What it has under the name; "" when it has not. */
  readonly digest: string;
  readonly error: string;
}

/** Asks the endpoint for the manifest `wanted` (a tag or digest), once. */
export async function reportEndpoint(
  requester: Requester,
  endpoint: Endpoint,
  asker: Asker,
  wanted: string,
  accept: string,
): Promise<EndpointReport> {
  const { connection, headers, capabilities, isMirror, rule, base } = endpoint;
  const repository = repositoryAt(endpoint, asker.repository);
  const proxy = requester.proxyOf(endpoint);
  const facts = {
    url: base.href,
    repository,
    isMirror,
    rule,
    capabilities: [...capabilities],
    proxy: proxy === null ? "" : withoutPassword(proxy),
    authorities: connection.ca.length,
    clientCertificate: connection.client.length > 0,
    skipVerify: connection.skipVerify,
    headers: Object.keys(headers),
  };
  let credentials: EndpointReport["credentials"] = "";
  try {
    credentials = await requester.credentialOrigin(endpoint, asker.auth);
    const what = `image "${asker.repository}:${wanted}"`;
    const request = { method: "HEAD", rest: `manifests/${wanted}`, headers: { accept }, what } as const;
    const response = await requester.expect(endpoint, asker, request, [200]);
    await response.discard();
    const digest = response.header("docker-content-digest") ?? "";
    return { ...facts, credentials, digest: /^[a-z0-9]+:[0-9a-f]+$/.test(digest) ? digest : "", error: "" };
  } catch (error) {
    asker.signal.throwIfAborted();
    return { ...facts, credentials, digest: "", error: messageOf(error) };
  }
}
