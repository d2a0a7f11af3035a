// Where the files of a layer are seen. A layer that is a directory is there; one that is an EROFS image is
// mounted at its first use and kept, so that all containers share one mount and what the kernel has read of
// it. Such a mount is attached nowhere: others find it at the daemon's descriptor below /proc.

import { close } from "node:fs";
import { lstat } from "node:fs/promises";
import { promisify } from "node:util";
import type { LayerKernel } from "../kernel/kernel.ts";
import { BerthError, KernelError, messageOf, wrapError } from "../lib/errors.ts";
import type { Paths } from "../paths.ts";

export interface HeldLayers {
  /** As plans name it: relative to `Paths.snapshots`, or absolute, a mount. */
  lower(number: number): string;
  /** Absolute. */
  path(number: number): string;
  /** To be called once: from then on the paths may mean something else. */
  release(): void;
}

interface Known {
  /** The mount's descriptor; null for a directory. */
  readonly mount: Promise<number | null>;
  holders: number;
  /** Nobody gets it any more: closed by whoever lets go of it last. */
  isForgotten: boolean;
}

/** What the kernel says when it has no EROFS, or cannot mount it from a file. */
const UNABLE: ReadonlySet<string> = new Set(["ENODEV", "ENOTBLK", "ENOSYS"]);

const closeDescriptor = promisify(close);

export class LayerMounts {
  readonly #kernel: Pick<LayerKernel, "mountLayer">;
  readonly #paths: Paths;
  readonly #known = new Map<number, Known>();

  constructor(deps: { readonly kernel: Pick<LayerKernel, "mountLayer">; readonly paths: Paths }) {
    this.#kernel = deps.kernel;
    this.#paths = deps.paths;
  }

  /**
   * The layers, mounted where that is needed; until they are released their paths stay what they are, also
   * when a layer is removed meanwhile. FAILED_PRECONDITION when one is missing or cannot be mounted.
   */
  async hold(numbers: readonly number[]): Promise<HeldLayers> {
    const held = new Map([...new Set(numbers)].map((number) => [number, this.#take(number)]));
    const opened = await Promise.allSettled([...held.values()].map(({ mount }) => mount));
    const mounts = new Map<number, number | null>();
    for (const [at, number] of [...held.keys()].entries()) {
      const outcome = opened[at];
      if (outcome?.status === "fulfilled") mounts.set(number, outcome.value);
    }
    const release = () => {
      for (const known of held.values()) this.#release(known);
    };
    const failed = opened.find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) {
      release();
      throw failed.reason;
    }
    const pathOf = (number: number, directory: string) => {
      const mount = mounts.get(number);
      if (mount === undefined) throw new BerthError("INTERNAL", `path of layer ${number}: it is not held`);
      return mount === null ? directory : `/proc/${process.pid}/fd/${mount}`;
    };
    return {
      lower: (number) => pathOf(number, this.#paths.layerRelative(number)),
      path: (number) => pathOf(number, this.#paths.layer(number)),
      release,
    };
  }

  /**
   * The layer was removed: its mount is closed, when nobody holds it any more. Where nobody does, the room on
   * the disk is given back when this resolves, but for what containers still have mounted.
   */
  async forget(number: number): Promise<void> {
    const known = this.#known.get(number);
    if (known === undefined) return;
    this.#known.delete(number);
    known.isForgotten = true;
    if (known.holders === 0) await closeMount(known);
  }

  /** Forgets all layers. */
  async close(): Promise<void> {
    await Promise.all([...this.#known.keys()].map((number) => this.forget(number)));
  }

  #take(number: number): Known {
    const there = this.#known.get(number);
    if (there !== undefined) {
      there.holders++;
      return there;
    }
    const known: Known = { mount: this.#open(number), holders: 1, isForgotten: false };
    this.#known.set(number, known);
    // The next one who asks tries again.
    known.mount.catch(() => {
      if (this.#known.get(number) === known) this.#known.delete(number);
    });
    return known;
  }

  #release(known: Known): void {
    known.holders--;
    if (known.isForgotten && known.holders === 0) void closeMount(known);
  }

  async #open(number: number): Promise<number | null> {
    const path = this.#paths.layer(number);
    try {
      if ((await lstat(path)).isDirectory()) return null;
      return await this.#kernel.mountLayer(path);
    } catch (error) {
      throw unusable(path, error);
    }
  }
}

/** What failed to open has nothing to close. */
async function closeMount({ mount }: Known): Promise<void> {
  const descriptor = await mount.catch(() => null);
  if (descriptor !== null) await closeDescriptor(descriptor);
}

function unusable(path: string, error: unknown): BerthError {
  const doing = `use layer "${path}"`;
  // Only what verify has found is mended.
  const repair = "run berth image verify, then berth image repair";
  if ((error as NodeJS.ErrnoException).code === "ENOENT") {
    const message = `${doing}: it is missing on disk; ${repair}`;
    return new BerthError("FAILED_PRECONDITION", message, { cause: error });
  }
  if (error instanceof BerthError && error.code === "DATA_LOSS") {
    const message = `${doing}: ${messageOf(error)}; ${repair}`;
    return new BerthError("FAILED_PRECONDITION", message, { cause: error });
  }
  if (!(error instanceof KernelError) || error.code !== "INTERNAL") return wrapError(doing, error);
  const next = UNABLE.has(error.errno)
    ? `this kernel cannot mount images from files; restart berthd, and pull the image again`
    : repair;
  return new BerthError("FAILED_PRECONDITION", `${doing}: ${messageOf(error)}; ${next}`, { cause: error });
}
