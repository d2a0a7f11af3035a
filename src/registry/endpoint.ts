// Where the content of a registry is found: its mirrors in order, then the registry itself.

import type { RepositoryRewrite } from "../types/config.ts";
import type { Connection } from "./connection.ts";
import type { Capability } from "./hosts-toml.ts";

export interface Endpoint {
  /** The registry as references name it; mirrors serve for it. */
  readonly host: string;
  /** Ends in "/v2/". */
  readonly base: URL;
  /** Credentials for the registry go to the registry itself and to no mirror. */
  readonly isMirror: boolean;
  readonly capabilities: ReadonlySet<Capability>;
  readonly connection: Connection;
  /** Sent with every request to this host. */
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly rewrite: readonly RepositoryRewrite[];
  /** Blobs downloaded from it at once; undefined: the default. */
  readonly maxDownloads: number | undefined;
  /** What led here, for people: a file and the place in it, or "default". */
  readonly rule: string;
}

/** Hosts whose API lives under another name. */
const apiHosts = new Map([["docker.io", "registry-1.docker.io"]]);

export function apiHost(host: string): string {
  return apiHosts.get(host) ?? host;
}

/** The repository's name at the endpoint. */
export function repositoryAt(endpoint: Endpoint, repository: string): string {
  for (const { pattern, replacement } of endpoint.rewrite) {
    const expression = new RegExp(pattern);
    if (expression.test(repository)) return repository.replace(expression, replacement);
  }
  return repository;
}

/** The URL of something below the endpoint's repository. */
export function endpointUrl(endpoint: Endpoint, repository: string, rest: string): URL {
  const name = repositoryAt(endpoint, repository);
  const url = new URL(`${endpoint.base.pathname}${name}/${rest}`, endpoint.base);
  // One mirror may serve for many registries: it is told for which (the "ns" of containerd's mirrors).
  if (endpoint.base.host !== apiHost(endpoint.host)) url.searchParams.set("ns", endpoint.host);
  return url;
}
