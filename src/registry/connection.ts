// How to reach one host: whom to trust, who we are, and which way.

import { createHash } from "node:crypto";
import { isLocalAddress } from "./addresses.ts";

export interface ClientCertificate {
  /** PEM texts. */
  readonly cert: string;
  readonly key: string;
}

export interface Connection {
  /** PEM texts of authorities beside those that the host trusts. */
  readonly ca: readonly string[];
  readonly client: readonly ClientCertificate[];
  readonly skipVerify: boolean;
  /** URL of the proxy; "direct" for none; undefined: what the environment says. */
  readonly proxy: string | undefined;
  readonly connectMs: number | undefined;
  /** A registry named this host: its name must not lead to this machine. */
  readonly foreign: boolean;
  /** Equal for connections that may share sockets. */
  readonly key: string;
}

export function makeConnection(parts: Partial<Omit<Connection, "key">>): Connection {
  const connection = {
    ca: parts.ca ?? [],
    client: parts.client ?? [],
    skipVerify: parts.skipVerify ?? false,
    proxy: parts.proxy,
    connectMs: parts.connectMs,
    foreign: parts.foreign ?? false,
  };
  const key = createHash("sha256").update(JSON.stringify(connection)).digest("hex");
  return { ...connection, key };
}

export const plainConnection = makeConnection({});

/**
 * The connection to `target`, a host that the registry at `origin` named (a redirect, a realm). It trusts
 * whom the registry's connection trusts and goes the same way, but shows no client certificate.
 */
export function connectionElsewhere(connection: Connection, origin: URL, target: URL): Connection {
  if (origin.origin === target.origin) return connection;
  const trusted = isLocalAddress(origin.hostname) || origin.hostname === target.hostname;
  return makeConnection({ ...connection, client: [], foreign: !trusted });
}
