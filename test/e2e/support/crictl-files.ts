// The files that crictl is given: the configs of pods and containers.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Scratch } from "./scratch.ts";

export class CrictlFiles {
  readonly #scratch: Scratch;

  constructor(scratch: Scratch) {
    this.#scratch = scratch;
  }

  #write(name: string, value: object): string {
    const path = join(this.#scratch.folder, `${name}.json`);
    writeFileSync(path, JSON.stringify(value));
    return path;
  }

  /** The path of a pod's config; its log directory is made. */
  pod(name: string, more: object = {}): string {
    const folder = join(this.#scratch.folder, "logs", name);
    mkdirSync(folder, { recursive: true });
    const metadata = { name, uid: `uid-${name}`, namespace: "default", attempt: 0 };
    return this.#write(`pod-${name}`, {
      metadata,
      log_directory: folder,
      hostname: name,
      linux: {},
      ...more,
    });
  }

  container(name: string, image: string, more: object = {}): string {
    const config = { metadata: { name }, image: { image }, log_path: `${name}.log`, linux: {}, ...more };
    return this.#write(`container-${name}`, config);
  }
}
