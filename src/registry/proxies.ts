// Which proxy a request goes through: the word for its host, else the usual environment variables.

import { BlockList, isIP, isIPv4 } from "node:net";
import type { ProxyConfig } from "../types/config.ts";
import { isLoopback } from "./addresses.ts";

/**
 * What a proxy may be. A SOCKS proxy takes a user only together with a password (RFC 1929, section 2: neither
 * is empty), and undici would leave the user out without a word.
 */
export const PROXY_PATTERN = "^(?:https?://[^/\\s]+|socks5h?://(?:[^/\\s@:]+:[^/\\s]+@)?[^/\\s@]+)/?$";
export const PROXY_FORMS = "http://, https://, socks5:// or socks5h://[USER:PASSWORD@]HOST:PORT";

const defaultPorts: Readonly<Record<string, string>> = { "http:": "80", "https:": "443" };

/** The proxy for `url` by the environment's rules, or null. This machine itself is never behind a proxy. */
export function environmentProxy(config: ProxyConfig | undefined, url: URL): string | null {
  if (config === undefined || isLoopback(url.hostname)) return null;
  const proxy = url.protocol === "https:" ? config.https : config.http;
  return proxy === "" || proxy === "direct" || isExempt(config.noProxy, url) ? null : proxy;
}

/** Whether no_proxy names the host: "*", an address, a network, "host:port", a domain with those below it. */
export function isExempt(noProxy: string, url: URL): boolean {
  const hostname = url.hostname.replace(/^\[|\]$/g, "").toLowerCase();
  const port = url.port || defaultPorts[url.protocol] || "";
  return noProxy
    .split(/[\s,]+/)
    .filter((rule) => rule !== "")
    .some((rule) => matches(rule.toLowerCase(), hostname, port));
}

/** "[fd00::1]:443", "host:443", or an IPv6 address without brackets. */
const rulePattern = /^(?:\[([0-9a-f:.]+)\]|([^:]+|[0-9a-f.]*(?::[0-9a-f.]*){2,}))(?::(\d+))?$/;

function matches(rule: string, hostname: string, port: string): boolean {
  if (rule === "*") return true;
  if (rule.includes("/")) return inNetwork(rule, hostname);
  const [, bracketed, plain, rulePort] = rulePattern.exec(rule) ?? [];
  const name = bracketed ?? plain ?? rule;
  if (rulePort !== undefined && rulePort !== port) return false;
  if (isIP(hostname) !== 0) return name === hostname;
  const domain = name.replace(/^\*?\./, "");
  const exactToo = domain === name;
  return (exactToo && hostname === domain) || hostname.endsWith(`.${domain}`);
}

function inNetwork(rule: string, hostname: string): boolean {
  const [network = "", bits = ""] = rule.split("/");
  const family = isIP(hostname);
  if (family === 0 || isIP(network) !== family || !/^\d{1,3}$/.test(bits)) return false;
  if (Number(bits) > (family === 4 ? 32 : 128)) return false;
  const list = new BlockList();
  list.addSubnet(network, Number(bits), isIPv4(network) ? "ipv4" : "ipv6");
  return list.check(hostname, family === 4 ? "ipv4" : "ipv6");
}

/** A proxy's address without the password in it. */
export function withoutPassword(proxy: string): string {
  if (!URL.canParse(proxy)) return "proxy";
  const url = new URL(proxy);
  url.username = "";
  url.password = "";
  return url.href.replace(/\/$/, "");
}
