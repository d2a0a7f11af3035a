// The CNI configuration directory: which of its files is the network. Every use looks at names, sizes
// and times again (a handful of stat calls beside processes that cost milliseconds), so that a missed
// notification never matters; the watch only makes changes known at once.

import { type FSWatcher, watch } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import { BerthError, errnoOf, messageOf, wrapError } from "../lib/errors.ts";
import { type NetworkList, parseNetworkList, parsePluginFile } from "./conflist.ts";

export interface ConfiguredNetwork {
  readonly list: NetworkList;
  /** Name of its file. */
  readonly file: string;
}

export interface ConfigurationScan {
  /** The networks of pods, the first one the main network: the valid files in the order of names. */
  readonly networks: readonly ConfiguredNetwork[];
  /** Configuration files found, valid or not. */
  readonly files: readonly string[];
  /** One line per file that could not be used. */
  readonly problems: readonly string[];
}

const extensions = new Set([".conflist", ".conf", ".json"]);
const maxFileBytes = 1024 * 1024;
const maxFiles = 256;

/**
 * Reads the directory until `maxNetworks` are found. A missing one is empty; anything else that cannot be
 * read rejects.
 */
export async function scanConfiguration(directory: string, maxNetworks = 1): Promise<ConfigurationScan> {
  const files = await configurationFiles(directory, extensions);
  const networks: ConfiguredNetwork[] = [];
  const problems: string[] = [];
  for (const file of files) {
    if (networks.length === maxNetworks) break;
    try {
      const list = await readList(directory, file);
      const twin = networks.find((other) => other.list.name === list.name);
      if (twin !== undefined) {
        throw new BerthError("FAILED_PRECONDITION", `network "${list.name}" is in "${twin.file}" already`);
      }
      networks.push({ list, file });
    } catch (error) {
      problems.push(`"${join(directory, file)}": ${messageOf(error)}`);
    }
  }
  return { networks, files, problems };
}

async function readList(directory: string, file: string): Promise<NetworkList> {
  const list = parseNetworkList(await readConfiguration(join(directory, file)));
  if (list.loadOnlyInlinedPlugins) return list;
  const beside = join(directory, list.name);
  const plugins = [...list.plugins];
  for (const name of await configurationFiles(beside, new Set([".conf"]))) {
    const path = join(beside, name);
    try {
      plugins.push(parsePluginFile(await readConfiguration(path)));
    } catch (error) {
      throw wrapError(`"${path}"`, error);
    }
  }
  if (plugins.length === 0) throw new BerthError("FAILED_PRECONDITION", `"plugins" is empty`);
  return { ...list, plugins };
}

async function configurationFiles(directory: string, wanted: ReadonlySet<string>): Promise<string[]> {
  let names: string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return [];
    throw wrapError(`read CNI configuration directory "${directory}"`, error);
  }
  return names
    .filter((name) => wanted.has(extname(name)))
    .sort()
    .slice(0, maxFiles);
}

async function readConfiguration(path: string): Promise<string> {
  // Looked at before it is opened: opening a FIFO would wait for a writer.
  const facts = await stat(path);
  if (!facts.isFile()) throw new BerthError("FAILED_PRECONDITION", "not a regular file");
  if (facts.size > maxFileBytes) {
    throw new BerthError("FAILED_PRECONDITION", `larger than ${maxFileBytes} bytes`);
  }
  return readFile(path, "utf8");
}

/** The directory with memory: parses again only when a file changed. */
export class ConfigurationDirectory {
  readonly #path: string;
  readonly #maxNetworks: number;
  readonly #onChange: (scan: ConfigurationScan) => void;
  readonly #onWatchFailure: (error: unknown) => void;
  #watcher: FSWatcher | null = null;
  #watched = "";
  #signature = "";
  #scan: ConfigurationScan | null = null;
  #watchFailed = false;
  #closed = false;

  /** `onChange` hears of the first scan and of each that found other files than the one before. */
  constructor(
    path: string,
    maxNetworks: number,
    onChange: (scan: ConfigurationScan) => void,
    onWatchFailure: (error: unknown) => void,
  ) {
    this.#path = path;
    this.#maxNetworks = maxNetworks;
    this.#onChange = onChange;
    this.#onWatchFailure = onWatchFailure;
  }

  /** What the directory holds now. */
  async current(): Promise<ConfigurationScan> {
    await this.#keepWatching();
    // Taken before the files are read: a change in between is found by the next call.
    const signature = await signatureOf(this.#path);
    if (this.#scan !== null && signature === this.#signature) return this.#scan;
    const scan = await scanConfiguration(this.#path, this.#maxNetworks);
    const changed = this.#scan === null || signature !== this.#signature;
    this.#signature = signature;
    this.#scan = scan;
    if (changed) this.#onChange(scan);
    return scan;
  }

  close(): void {
    this.#closed = true;
    this.#stopWatching();
  }

  /** A directory that was removed and made again needs a new watch: they follow inodes. */
  async #keepWatching(): Promise<void> {
    const identity = await stat(this.#path).then(
      (facts) => `${facts.dev}:${facts.ino}`,
      () => "",
    );
    if (this.#closed || identity === this.#watched) return;
    this.#stopWatching();
    if (identity === "") return;
    try {
      this.#watcher = watch(this.#path, { persistent: false }, () => this.#rescan());
      this.#watcher.on("error", (error) => this.#reportWatchFailure(error));
      this.#watched = identity;
    } catch (error) {
      this.#reportWatchFailure(error);
    }
  }

  #stopWatching(): void {
    this.#watcher?.close();
    this.#watcher = null;
    this.#watched = "";
  }

  #rescan(): void {
    if (this.#closed) return;
    this.current().catch((error) => this.#reportWatchFailure(error));
  }

  /** Once: without a watch the directory is still read at every use. */
  #reportWatchFailure(error: unknown): void {
    if (this.#watchFailed || this.#closed) return;
    this.#watchFailed = true;
    this.#onWatchFailure(error);
  }
}

/** Changes whenever a file below the directory, or below a network's own directory, is changed. */
async function signatureOf(directory: string): Promise<string> {
  const parts: string[] = [];
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) parts.push(await signatureOfFiles(path, new Set([".conf"])));
  }
  parts.push(await signatureOfFiles(directory, extensions));
  return parts.join("\n");
}

async function signatureOfFiles(directory: string, wanted: ReadonlySet<string>): Promise<string> {
  const names = await configurationFiles(directory, wanted).catch((error) => [messageOf(error)]);
  const parts = await Promise.all(
    names.map(async (name) => {
      const facts = await stat(join(directory, name), { bigint: true }).catch(() => null);
      return `${name}:${facts?.ino}:${facts?.size}:${facts?.mtimeNs}:${facts?.ctimeNs}`;
    }),
  );
  return `${directory} ${parts.join(" ")}`;
}
