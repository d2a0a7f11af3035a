// /etc/passwd and /etc/group of images. An image never changes, so both are read once per image.

import type { ImageId } from "../types/ids.ts";
import type { Image } from "../types/image.ts";

export interface ImageUserFiles {
  readonly passwd: Uint8Array | null;
  readonly group: Uint8Array | null;
}

const MAX_IMAGES = 128;

export class UserFilesCache {
  readonly #read: (image: Image, path: string) => Promise<Uint8Array | null>;
  readonly #files = new Map<ImageId, Promise<ImageUserFiles>>();

  constructor(read: (image: Image, path: string) => Promise<Uint8Array | null>) {
    this.#read = read;
  }

  get(image: Image): Promise<ImageUserFiles> {
    const known = this.#files.get(image.id);
    if (known !== undefined) return known;
    const files = this.#load(image);
    this.#files.set(image.id, files);
    files.catch(() => this.#files.delete(image.id));
    const oldest = this.#files.keys().next().value;
    if (this.#files.size > MAX_IMAGES && oldest !== undefined) this.#files.delete(oldest);
    return files;
  }

  async #load(image: Image): Promise<ImageUserFiles> {
    const [passwd, group] = await Promise.all([
      this.#read(image, "/etc/passwd"),
      this.#read(image, "/etc/group"),
    ]);
    return { passwd, group };
  }
}
