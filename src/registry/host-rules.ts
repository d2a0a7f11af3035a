// Which hosts to ask for a registry's content, and how: berth.toml first, else containerd's certs.d, else
// the registry under its own name. Files are read anew for each request, so a change needs no restart.

import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { BerthError, errnoOf, messageOf } from "../lib/errors.ts";
import type { RegistryConfig, RegistryHostConfig } from "../types/config.ts";
import { isLoopback } from "./addresses.ts";
import { type ClientCertificate, type Connection, makeConnection } from "./connection.ts";
import { apiHost, type Endpoint } from "./endpoint.ts";
import { allCapabilities, type Capability, type HostEntry, parseHostsToml } from "./hosts-toml.ts";

/** Configuration and certificates are small; a pipe or a device in their place is not read for ever. */
const maxFileBytes = 1024 * 1024;
const pullOnly: ReadonlySet<Capability> = new Set(["pull", "resolve"]);

export class HostRules {
  readonly #config: RegistryConfig;

  constructor(config: RegistryConfig) {
    this.#config = config;
  }

  /**
   * The endpoints of the registry `host` that may do `capability`, in the order to try; never none.
   * INVALID_ARGUMENT when the host or a mirror is no URL, FAILED_PRECONDITION when a file is damaged or no
   * endpoint may do it.
   */
  async endpoints(host: string, capability: Capability): Promise<Endpoint[]> {
    const all = await this.all(host);
    const able = all.filter((endpoint) => endpoint.capabilities.has(capability));
    if (able.length > 0) return able;
    const rules = [...new Set(all.map(({ rule }) => rule))].join(", ");
    throw new BerthError(
      "FAILED_PRECONDITION",
      `find registry "${host}": no host may "${capability}" by ${rules}; add it to the capabilities of one`,
    );
  }

  /** All endpoints, whatever they may do. */
  async all(host: string): Promise<Endpoint[]> {
    if (Object.hasOwn(this.#config.hosts, host)) return await this.#fromConfig(host);
    for (const directory of this.#config.certsDirs ?? []) {
      const found = await findDirectory(directory, host);
      if (found !== undefined) return await fromDirectory(found.path, host, found.isDefault);
    }
    return [ownEndpoint(host, {}, "default")];
  }

  async #fromConfig(host: string): Promise<Endpoint[]> {
    const own = this.#config.hosts[host] as RegistryHostConfig;
    const rule = `[registry.hosts."${host}"] of berth.toml`;
    const mirrors = await Promise.all(own.mirrors.map((mirror) => this.#mirror(host, mirror.url, own, rule)));
    const connection = await connectionOf(own);
    const tls = own.ca !== undefined || own.clientCert !== undefined || own.insecureSkipVerify === true;
    const plain = own.plainHttp ?? (tls ? false : undefined);
    return [...mirrors, ownEndpoint(host, { connection, plain, maxDownloads: own.maxDownloads }, rule)];
  }

  /** A path in the URL is kept before "/v2/", unless it has its own "/v2". */
  async #mirror(host: string, url: string, own: RegistryHostConfig, rule: string): Promise<Endpoint> {
    const parsed = URL.canParse(url) ? new URL(url) : undefined;
    if (parsed === undefined || !/^https?:$/.test(parsed.protocol) || parsed.username !== "") {
      throw new BerthError(
        "INVALID_ARGUMENT",
        `mirror "${url}" of registry "${host}": it must be a URL such as "http://127.0.0.1:5000"`,
      );
    }
    const path = parsed.pathname.replace(/\/+$/, "");
    const base = new URL(/(?:^|\/)v2(?:\/|$)/.test(path) ? `${path}/` : `${path}/v2/`, parsed.origin);
    const hosts = this.#config.hosts;
    const settings = Object.hasOwn(hosts, parsed.host) ? hosts[parsed.host] : undefined;
    return {
      host,
      base,
      isMirror: true,
      capabilities: pullOnly,
      connection: await connectionOf(settings),
      headers: {},
      rewrite: own.rewrite ?? [],
      maxDownloads: settings?.maxDownloads,
      rule,
    };
  }
}

interface OwnParts {
  readonly connection?: Connection;
  readonly plain?: boolean | undefined;
  readonly maxDownloads?: number | undefined;
  readonly capabilities?: ReadonlySet<Capability>;
  readonly headers?: Endpoint["headers"];
}

/** The registry under its own name. */
function ownEndpoint(host: string, parts: OwnParts, rule: string): Endpoint {
  const plain = parts.plain ?? isLoopback(host.replace(/:\d+$/, ""));
  const base = `${plain ? "http" : "https"}://${apiHost(host)}/v2/`;
  // The grammar of references lets hosts through that are none, such as "1.2.3.999" or "x.y:99999".
  if (!URL.canParse(base)) {
    throw new BerthError("INVALID_ARGUMENT", `find registry "${host}": it is not a host name with a port`);
  }
  return {
    host,
    base: new URL(base),
    isMirror: false,
    capabilities: parts.capabilities ?? allCapabilities,
    connection: parts.connection ?? makeConnection({}),
    headers: parts.headers ?? {},
    rewrite: [],
    maxDownloads: parts.maxDownloads,
    rule,
  };
}

async function connectionOf(settings: RegistryHostConfig | undefined): Promise<Connection> {
  if (settings === undefined) return makeConnection({});
  const { clientCert, clientKey } = settings;
  const paired = clientCert !== undefined && clientKey !== undefined;
  return makeConnection({
    ca: await Promise.all((settings.ca ?? []).map(readSmall)),
    client: paired ? [await readPair(clientCert, clientKey)] : [],
    skipVerify: settings.insecureSkipVerify ?? false,
    proxy: settings.proxy,
  });
}

/** "host_port_" and then "host:port", else "_default", as containerd has it. */
async function findDirectory(
  root: string,
  host: string,
): Promise<{ path: string; isDefault: boolean } | undefined> {
  const underscored = host.replace(/:(\d+)$/, "_$1_");
  const names = [...new Set([underscored, host]), "_default"];
  for (const name of names) {
    const path = join(root, name);
    if ((await namesIn(path)) !== undefined) return { path, isDefault: name === "_default" };
  }
  return undefined;
}

async function fromDirectory(path: string, host: string, isDefault: boolean): Promise<Endpoint[]> {
  const file = join(path, "hosts.toml");
  const text = await readSmall(file).catch((error: unknown) => {
    if (errnoOf((error as Error).cause) === "ENOENT") return undefined;
    throw error;
  });
  if (text === undefined) return [await fromCertificates(path, host)];
  let parsed: ReturnType<typeof parseHostsToml>;
  try {
    parsed = parseHostsToml(text);
  } catch (error) {
    throw new BerthError("FAILED_PRECONDITION", `read "${file}": ${messageOf(error)}`);
  }
  const rule = `"${file}"`;
  const mirrors = parsed.hosts.map((entry) => endpointOfEntry(path, host, entry, true, rule));
  const server = endpointOfEntry(path, host, parsed.server, isDefault, rule);
  return await Promise.all([...mirrors, server]);
}

/**
 * Credentials go to the registry under its own name and to the `server` of a file that is for this registry
 * alone: whoever wrote that said which host the registry is. A server for all registries is a mirror.
 */
async function endpointOfEntry(
  directory: string,
  host: string,
  entry: HostEntry,
  othersToo: boolean,
  rule: string,
): Promise<Endpoint> {
  const at = (path: string) => resolve(directory, path);
  const connection = makeConnection({
    ca: await Promise.all(entry.ca.map((path) => readSmall(at(path)))),
    client: await Promise.all(
      entry.client.map(([cert, key]) => readPair(at(cert), key === "" ? at(cert) : at(key))),
    ),
    skipVerify: entry.skipVerify,
    proxy: entry.proxy,
    connectMs: entry.dialTimeoutMs,
  });
  const headers = Object.fromEntries(Object.entries(entry.headers).map(([name, all]) => [name, [...all]]));
  const { base, capabilities } = entry;
  if (base === undefined) {
    const plain = usesTls(connection) ? false : undefined;
    return ownEndpoint(host, { connection, plain, capabilities, headers }, rule);
  }
  const isMirror = othersToo && base.host !== apiHost(host);
  return {
    host,
    base,
    isMirror,
    capabilities,
    connection,
    headers,
    rewrite: [],
    maxDownloads: undefined,
    rule,
  };
}

/** Docker's pattern: "*.crt" are authorities, "x.cert" and "x.key" a client certificate. */
async function fromCertificates(directory: string, host: string): Promise<Endpoint> {
  const names = ((await namesIn(directory)) ?? []).sort();
  const authorities = names.filter((name) => name.endsWith(".crt"));
  const clients = names.filter((name) => name.endsWith(".cert"));
  for (const name of clients) {
    const key = name.replace(/cert$/, "key");
    if (names.includes(key)) continue;
    const missing = join(directory, key);
    throw new BerthError("FAILED_PRECONDITION", `read certificates for "${host}": "${missing}" is missing`);
  }
  const connection = makeConnection({
    ca: await Promise.all(authorities.map((name) => readSmall(join(directory, name)))),
    client: await Promise.all(
      clients.map((name) => readPair(join(directory, name), join(directory, name.replace(/cert$/, "key")))),
    ),
  });
  return ownEndpoint(host, { connection, plain: usesTls(connection) ? false : undefined }, `"${directory}"`);
}

function usesTls({ ca, client, skipVerify }: Connection): boolean {
  return ca.length > 0 || client.length > 0 || skipVerify;
}

async function readPair(cert: string, key: string): Promise<ClientCertificate> {
  return { cert: await readSmall(cert), key: await readSmall(key) };
}

async function namesIn(directory: string): Promise<string[] | undefined> {
  try {
    return await readdir(directory);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return undefined;
    throw new BerthError("FAILED_PRECONDITION", `read "${directory}": ${messageOf(error)}`);
  }
}

async function readSmall(path: string): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of createReadStream(path)) {
      chunks.push(chunk as Buffer);
      length += (chunk as Buffer).length;
      if (length > maxFileBytes) throw new Error(`it is longer than ${maxFileBytes} bytes`);
    }
  } catch (error) {
    throw new BerthError("FAILED_PRECONDITION", `read "${path}": ${messageOf(error)}`, { cause: error });
  }
  return Buffer.concat(chunks).toString("utf8");
}
