// Where the content of a registry is found: its mirrors in order, then the registry itself.

import { isIPv6 } from "node:net";
import { BerthError } from "../lib/errors.ts";
import type { RegistryConfig } from "../types/config.ts";

export interface Endpoint {
  /** The registry as references name it; mirrors serve for it. */
  readonly host: string;
  /** Ends in "/v2/". */
  readonly base: URL;
  /** Credentials go to the registry itself and to no mirror. */
  readonly isMirror: boolean;
}

/** Hosts whose API lives under another name. */
const apiHosts = new Map([["docker.io", "registry-1.docker.io"]]);

/** The endpoints of `host`, in the order to try. INVALID_ARGUMENT when one is no http(s) URL. */
export function endpointsOf(config: RegistryConfig, host: string): Endpoint[] {
  const own = Object.hasOwn(config.hosts, host) ? config.hosts[host] : undefined;
  const mirrors = (own?.mirrors ?? []).map((mirror) => mirrorEndpoint(host, mirror.url));
  const scheme = own?.plainHttp === true || isLoopback(hostnameOf(host)) ? "http" : "https";
  const base = `${scheme}://${apiHosts.get(host) ?? host}/v2/`;
  // The grammar of references lets hosts through that are none, such as "1.2.3.999" or "x.y:99999".
  if (!URL.canParse(base)) {
    throw new BerthError("INVALID_ARGUMENT", `find registry "${host}": it is not a host name with a port`);
  }
  return [...mirrors, { host, base: new URL(base), isMirror: false }];
}

/** The URL of something below the endpoint's repository. */
export function endpointUrl(endpoint: Endpoint, repository: string, rest: string): URL {
  const url = new URL(`${endpoint.base.pathname}${repository}/${rest}`, endpoint.base);
  // One mirror may serve for many registries: it is told for which (the "ns" of containerd's mirrors).
  if (endpoint.isMirror) url.searchParams.set("ns", endpoint.host);
  return url;
}

/** Whether a host name (without port, brackets allowed) is this machine by its writing alone. */
export function isLoopback(hostname: string): boolean {
  const bare = hostname.replace(/^\[|\]$/g, "").toLowerCase();
  return bare === "localhost" || bare === "::1" || /^127(?:\.\d{1,3}){3}$/.test(bare);
}

/** Whether a host name is a literal address that only this machine or its link has. */
export function isLinkLocal(hostname: string): boolean {
  const bare = hostname.replace(/^\[|\]$/g, "").toLowerCase();
  return /^169\.254\./.test(bare) || (isIPv6(bare) && /^(?:fe[89ab]|::ffff:a9fe)/.test(bare));
}

function hostnameOf(host: string): string {
  return host.replace(/:\d+$/, "");
}

/** A path in the URL is kept before "/v2/", unless it has its own "/v2". */
function mirrorEndpoint(host: string, url: string): Endpoint {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol) || parsed.username !== "") {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `mirror "${url}" of registry "${host}": it must be a URL such as "http://127.0.0.1:5000"`,
    );
  }
  const path = parsed.pathname.replace(/\/+$/, "");
  const base = new URL(/(?:^|\/)v2(?:\/|$)/.test(path) ? `${path}/` : `${path}/v2/`, parsed.origin);
  return { host, base, isMirror: true };
}
