// The streaming server's key pair. Who renews it writes the files anew, or moves a link to others: so they
// are looked at from time to time, as the kubelet does with its own, and a pair that fits goes to new
// connections.

import { readFile, stat } from "node:fs/promises";
import { createSecureContext, type Server } from "node:tls";
import type { Logger } from "../lib/call.ts";
import { messageOf, wrapError } from "../lib/errors.ts";
import type { StreamingConfig } from "../types/config.ts";

/** PEM texts. */
export interface KeyPair {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly minVersion: "TLSv1.2";
}

type Files = Pick<StreamingConfig, "tlsCertificate" | "tlsKey">;

export class Certificate {
  readonly #files: Files;
  readonly #log: Logger;
  #seen = "";
  /** Signs of files that could not be used a look ago. */
  #doubted = "";
  #timer: NodeJS.Timeout | undefined;

  constructor(files: Files, log: Logger) {
    this.#files = files;
    this.#log = log;
  }

  /** INVALID_ARGUMENT names the files: not there, no PEM, or a key of another certificate. */
  async read(): Promise<KeyPair> {
    const { tlsCertificate, tlsKey } = this.#files;
    try {
      const signs = await this.#signs();
      const [cert, key] = await Promise.all([readFile(tlsCertificate), readFile(tlsKey)]);
      const pair = { cert, key, minVersion: "TLSv1.2" } as const;
      createSecureContext(pair);
      this.#seen = signs;
      return pair;
    } catch (error) {
      const files = `certificate "${tlsCertificate}" and key "${tlsKey}"`;
      throw wrapError(`streaming server: ${files}`, error, "INVALID_ARGUMENT");
    }
  }

  /** Gives the server what the files hold after each change; of what does not fit the log tells. */
  follow(server: Pick<Server, "setSecureContext">, everyMs: number): void {
    const look = async () => {
      await this.#renew(server);
      if (this.#timer !== undefined) this.#timer = setTimeout(look, everyMs).unref();
    };
    this.#timer = setTimeout(look, everyMs).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #renew(server: Pick<Server, "setSecureContext">): Promise<void> {
    const signs = await this.#signs().catch((error) => messageOf(error));
    if (signs === this.#seen) return;
    const { tlsCertificate: certificate } = this.#files;
    try {
      const pair = await this.read();
      if (this.#timer === undefined) return;
      server.setSecureContext(pair);
      this.#log.info({ certificate }, "streaming server: certificate renewed");
    } catch (error) {
      if (this.#timer === undefined) return;
      // Perhaps somebody is just writing one file after the other: it is told of, once, when it stays so.
      if (this.#doubted === signs) {
        this.#seen = signs;
        this.#log.error(
          { certificate, error: messageOf(error) },
          "streaming server: the old certificate stays",
        );
      }
      this.#doubted = signs;
    }
  }

  /** Differs when a file was written, replaced, or is another one behind its link. */
  async #signs(): Promise<string> {
    const paths = [this.#files.tlsCertificate, this.#files.tlsKey];
    const all = await Promise.all(paths.map((path) => stat(path, { bigint: true })));
    return all
      .map(({ dev, ino, size, mtimeNs, ctimeNs }) => [dev, ino, size, mtimeNs, ctimeNs].join())
      .join(" ");
  }
}
