// The table [registry] of berth.toml.

import { type Static, Type } from "typebox";
import { BerthError, messageOf } from "../lib/errors.ts";
import { PROXY_FORMS, PROXY_PATTERN } from "../registry/proxies.ts";
import type { ProxyConfig, RegistryConfig, RegistryHostConfig } from "../types/config.ts";
import { absolutePath, httpUrl, optionalPath, proxyUrl } from "./values.ts";

const count = Type.Integer({ minimum: 1 });

const HostSchema = Type.Object({
  mirrors: Type.Optional(Type.Array(httpUrl)),
  plain_http: Type.Optional(Type.Boolean()),
  insecure_skip_verify: Type.Optional(Type.Boolean()),
  ca: Type.Optional(Type.Array(absolutePath)),
  client_cert: Type.Optional(absolutePath),
  client_key: Type.Optional(absolutePath),
  proxy: Type.Optional(proxyUrl),
  max_downloads: Type.Optional(count),
  rewrite: Type.Optional(Type.Record(Type.String(), Type.String())),
});

export const RegistrySchema = Type.Object({
  certs_dirs: Type.Optional(Type.Array(absolutePath)),
  docker_config: Type.Optional(optionalPath),
  max_downloads: Type.Optional(count),
  max_downloads_per_registry: Type.Optional(count),
  stall_seconds: Type.Optional(count),
  min_bytes_per_second: Type.Optional(count),
  partial_max_bytes: Type.Optional(Type.Integer({ minimum: 0 })),
  unfinished_max_age_seconds: Type.Optional(count),
  proxy: Type.Optional(
    Type.Object({
      http: Type.Optional(proxyUrl),
      https: Type.Optional(proxyUrl),
      no_proxy: Type.Optional(Type.String()),
    }),
  ),
  hosts: Type.Optional(Type.Record(Type.String(), HostSchema)),
});

type RegistryFile = Static<typeof RegistrySchema>;

/** Fills in the defaults. INVALID_ARGUMENT for what only two keys together can tell. */
export function registryOf(file: RegistryFile | undefined, env: NodeJS.ProcessEnv): RegistryConfig {
  const hosts = Object.entries(file?.hosts ?? {}).map(([host, table]) => [host, hostOf(host, table)]);
  return {
    hosts: Object.fromEntries(hosts) as RegistryConfig["hosts"],
    certsDirs: file?.certs_dirs ?? ["/etc/berth/certs.d", "/etc/containerd/certs.d", "/etc/docker/certs.d"],
    dockerConfig: file?.docker_config ?? "",
    proxy: proxyOf(file?.proxy, env),
    maxDownloads: file?.max_downloads ?? 16,
    maxDownloadsPerRegistry: file?.max_downloads_per_registry ?? 8,
    stallSeconds: file?.stall_seconds ?? 30,
    minBytesPerSecond: file?.min_bytes_per_second ?? 1024,
    partialMaxBytes: file?.partial_max_bytes ?? 10 * 1024 ** 3,
    unfinishedMaxAgeMs: (file?.unfinished_max_age_seconds ?? 24 * 3600) * 1000,
  };
}

/** The file's words win over the environment's, one by one. */
function proxyOf(file: RegistryFile["proxy"], env: NodeJS.ProcessEnv): ProxyConfig {
  return {
    http: file?.http ?? environmentProxy(env, "HTTP_PROXY", "ALL_PROXY"),
    https: file?.https ?? environmentProxy(env, "HTTPS_PROXY", "ALL_PROXY"),
    noProxy: file?.no_proxy ?? (env.NO_PROXY || env.no_proxy || ""),
  };
}

/** The first variable that is set. As elsewhere "host:port" is an HTTP proxy. */
function environmentProxy(env: NodeJS.ProcessEnv, ...names: string[]): string {
  const name = names.flatMap((one) => [one, one.toLowerCase()]).find((one) => env[one]);
  if (name === undefined) return "";
  const value = env[name] ?? "";
  const proxy = value.includes("://") ? value : `http://${value}`;
  if (new RegExp(PROXY_PATTERN).test(proxy) && URL.canParse(proxy)) return proxy;
  // Not the whole value: it may hold a password.
  const scheme = /^[^:/]*:\/\//.exec(value)?.[0] ?? "";
  throw new BerthError(
    "INVALID_ARGUMENT",
    `environment variable ${name} ("${scheme}…"): it must be ${PROXY_FORMS}; correct it, or set ` +
      "registry.proxy.http and registry.proxy.https in the configuration",
  );
}

function hostOf(host: string, table: Static<typeof HostSchema>): RegistryHostConfig {
  const refuse = (why: string) => {
    throw new BerthError("INVALID_ARGUMENT", `key "registry.hosts.${host}": ${why}`);
  };
  if ((table.client_cert === undefined) !== (table.client_key === undefined)) {
    refuse("client_cert and client_key go together; set both");
  }
  if (host.includes("/")) refuse(`it is a host as references write it, such as "docker.io", without "/"`);
  const tls =
    table.insecure_skip_verify === true || table.ca !== undefined || table.client_cert !== undefined;
  if (table.plain_http === true && tls) refuse("plain_http has no use for certificates; remove one of them");
  return {
    mirrors: (table.mirrors ?? []).map((mirror) => ({ url: mirror })),
    plainHttp: table.plain_http,
    insecureSkipVerify: table.insecure_skip_verify,
    ca: table.ca,
    clientCert: table.client_cert,
    clientKey: table.client_key,
    proxy: table.proxy,
    maxDownloads: table.max_downloads,
    rewrite: rewritesOf(host, table.rewrite ?? {}),
  };
}

function rewritesOf(host: string, table: Record<string, string>): RegistryHostConfig["rewrite"] {
  return Object.entries(table).map(([pattern, replacement]) => {
    try {
      new RegExp(pattern);
    } catch (error) {
      const key = `registry.hosts.${host}.rewrite`;
      throw new BerthError("INVALID_ARGUMENT", `key "${key}": ${messageOf(error)}`);
    }
    return { pattern, replacement };
  });
}
