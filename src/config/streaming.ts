// The table [streaming] of berth.toml.

import { isIP } from "node:net";
import { type Static, Type } from "typebox";
import { BerthError } from "../lib/errors.ts";
import type { StreamingConfig } from "../types/config.ts";
import { absolutePath } from "./values.ts";

export const StreamingSchema = Type.Object({
  address: Type.Optional(Type.String()),
  port: Type.Optional(Type.Integer({ minimum: 0, maximum: 65_535 })),
  tls_certificate: Type.Optional(absolutePath),
  tls_key: Type.Optional(absolutePath),
});

/** Fills in the defaults. INVALID_ARGUMENT for what is no address, and for half of a key pair. */
export function streamingOf(table: Static<typeof StreamingSchema> = {}): StreamingConfig {
  const { address = "127.0.0.1", port = 0, tls_certificate = "", tls_key = "" } = table;
  if (isIP(address) === 0) {
    throw new BerthError("INVALID_ARGUMENT", `streaming.address "${address}" is no IP address`);
  }
  if ((tls_certificate === "") !== (tls_key === "")) {
    throw new BerthError(
      "INVALID_ARGUMENT",
      "streaming.tls_certificate and streaming.tls_key belong together: give both, or none",
    );
  }
  return { address, port, tlsCertificate: tls_certificate, tlsKey: tls_key };
}
