// A file tree as data: what goes into one layer. Order is kept, parents before children.

import { readFileSync } from "node:fs";

export type TreeEntry = {
  /** Without a leading slash. */
  path: string;
  mode: number;
  uid?: number;
  gid?: number;
} & (
  | { type: "directory" }
  | { type: "file"; data: Buffer }
  | { type: "symlink"; target: string }
  /** To an earlier file of the same layer, by its path in the image. */
  | { type: "link"; target: string }
);

export class Tree {
  readonly entries: TreeEntry[] = [];
  readonly #known = new Set<string>();

  #add(entry: TreeEntry): this {
    if (this.#known.has(entry.path)) return this;
    this.#known.add(entry.path);
    this.entries.push(entry);
    return this;
  }

  /** Parents that are missing are made with mode 0755. */
  directory(path: string, mode = 0o755): this {
    const parts = path.split("/").slice(0, -1);
    parts.forEach((_, index) => {
      this.#add({ type: "directory", path: parts.slice(0, index + 1).join("/"), mode: 0o755 });
    });
    return this.#add({ type: "directory", path, mode });
  }

  #parent(path: string): void {
    const cut = path.lastIndexOf("/");
    if (cut > 0) this.directory(path.slice(0, cut));
  }

  file(path: string, data: Buffer | string, mode = 0o644): this {
    this.#parent(path);
    return this.#add({ type: "file", path, mode, data: Buffer.from(data) });
  }

  /** A file of this host, under the same path or another one. */
  copy(source: string, path = source.slice(1), mode = 0o755): this {
    return this.file(path, readFileSync(source), mode);
  }

  symlink(path: string, target: string): this {
    this.#parent(path);
    return this.#add({ type: "symlink", path, mode: 0o777, target });
  }

  link(path: string, target: string): this {
    this.#parent(path);
    return this.#add({ type: "link", path, mode: 0o755, target });
  }
}
