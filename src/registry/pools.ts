// Connections to hosts: one pool for each origin and way of reaching it.

import { getCACertificates, rootCertificates } from "node:tls";
import { type Dispatcher, Pool, ProxyAgent } from "undici";
import type { ProxyConfig } from "../types/config.ts";
import { lookupElsewhere } from "./addresses.ts";
import type { Connection } from "./connection.ts";
import { environmentProxy } from "./proxies.ts";
import { socksAgent } from "./socks-agent.ts";

const maxPools = 64;
/** Answers with more bytes of headers than this are refused. */
const maxHeaderBytes = 16 * 1024;

export class Pools {
  readonly #connectMs: number;
  readonly #proxy: ProxyConfig | undefined;
  readonly #pools = new Map<string, Dispatcher>();

  constructor({ connectMs }: { readonly connectMs: number }, proxy: ProxyConfig | undefined) {
    this.#connectMs = connectMs;
    this.#proxy = proxy;
  }

  /** The proxy that leads to `url`, or null. */
  proxyOf(url: URL, connection: Connection): string | null {
    if (connection.proxy === undefined || connection.proxy === "") return environmentProxy(this.#proxy, url);
    return connection.proxy === "direct" ? null : connection.proxy;
  }

  dispatcher(url: URL, connection: Connection): Dispatcher {
    const key = `${url.origin}\n${connection.key}`;
    const known = this.#pools.get(key);
    if (known !== undefined) return known;
    const oldest = this.#pools.keys().next();
    if (this.#pools.size >= maxPools && oldest.done !== true) {
      const closing = this.#pools.get(oldest.value);
      this.#pools.delete(oldest.value);
      // Requests on their way still end: close() waits for them.
      closing?.close().catch(() => closing.destroy());
    }
    const made = this.#make(url, connection);
    this.#pools.set(key, made);
    return made;
  }

  async close(): Promise<void> {
    const pools = [...this.#pools.values()];
    this.#pools.clear();
    await Promise.all(pools.map((pool) => pool.destroy()));
  }

  #make(url: URL, connection: Connection): Dispatcher {
    const proxy = this.proxyOf(url, connection);
    const timeout = connection.connectMs ?? this.#connectMs;
    const tls = url.protocol === "https:" ? tlsOf(connection) : {};
    const options = { connectTimeout: timeout, maxHeaderSize: maxHeaderBytes };
    if (proxy !== null) {
      // The proxy resolves the names: what they lead to is its business.
      const through = { ...options, requestTls: { ...tls, allowH2: false, timeout } };
      if (/^socks5h?:/.test(proxy)) return socksAgent(proxy, through);
      return new ProxyAgent({ ...through, uri: proxy });
    }
    const lookup = connection.foreign ? { lookup: lookupElsewhere } : {};
    return new Pool(url.origin, { ...options, allowH2: false, connect: { ...tls, ...lookup, timeout } });
  }
}

function tlsOf({ ca, client, skipVerify }: Connection) {
  return {
    ca: [...trustedAuthorities(), ...ca],
    rejectUnauthorized: !skipVerify,
    ...(client.length === 0
      ? {}
      : { cert: client.map(({ cert }) => cert), key: client.map(({ key }) => key) }),
  };
}

/** Node's own list and the host's: an administrator who trusts a private authority does so for berth too. */
function trustedAuthorities(): string[] {
  return [...new Set([...rootCertificates, ...getCACertificates("system"), ...getCACertificates("extra")])];
}
