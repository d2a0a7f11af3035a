// undici's SOCKS 5 agent (RFC 1928, RFC 1929), with what it gets wrong about URLs put right.

import type { Socket } from "node:net";
import { checkServerIdentity } from "node:tls";
import { type Dispatcher, Socks5ProxyAgent } from "undici";
import { bareName } from "./addresses.ts";

interface Inner {
  createSocks5Connection(host: string, port: number): Promise<Socket>;
}

/**
 * Connections through the proxy at `url`, which resolves names itself. (undici's ProxyAgent would show the
 * proxy the password as the URL writes it, with "%40" for "@", and either agent takes the brackets around an
 * IPv6 address for a part of a name.)
 */
export function socksAgent(url: string, options: Socks5ProxyAgent.Options): Dispatcher {
  const { username, password } = new URL(url);
  const agent = new Socks5ProxyAgent(url.replace(/^socks5h:/, "socks5:"), {
    ...options,
    username: decodeURIComponent(username),
    password: decodeURIComponent(password),
    requestTls: {
      ...options.requestTls,
      checkServerIdentity: (name, certificate) => checkServerIdentity(bareName(name), certificate),
    },
  });
  const inner = agent as unknown as Inner;
  const connect = inner.createSocks5Connection.bind(agent);
  inner.createSocks5Connection = (host, port) => connect(bareName(host), port);
  return agent;
}
