// Progress of a pull or push: several bars at once on a terminal, plain lines elsewhere.

import type { LayerProgress } from "../gen/berth/v1/engine.ts";
import { humanSize } from "./format/quantities.ts";
import { shortId } from "./format/references.ts";
import { harmless } from "./format/table.ts";

/** What a display shows of a layer. */
export type LayerState = Pick<LayerProgress, "layer" | "phase" | "bytes" | "total"> &
  Partial<Pick<LayerProgress, "rate" | "host" | "retries">>;

export interface PullDisplay {
  update(layers: readonly LayerState[]): void;
  /** Leaves the last state on the screen. */
  finish(): void;
}

const WORDS: Readonly<Record<string, string>> = {
  resolve: "Resolving",
  wait: "Waiting",
  download: "Downloading",
  unpack: "Extracting",
  sync: "Writing to disk",
  commit: "Committing",
  done: "Pull complete",
};

const PUSH_WORDS: Readonly<Record<string, string>> = {
  check: "Looking for it",
  compress: "Compressing",
  upload: "Pushing",
  present: "Layer already exists",
  mounted: "Mounted from another repository",
  done: "Pushed",
};

/** Phases whose bytes are worth a bar. */
const MOVING = new Set(["download", "unpack", "compress", "upload"]);

/** A display for `stream`, or one that shows nothing. */
export function pullDisplay(stream: NodeJS.WriteStream, quiet: boolean): PullDisplay {
  if (quiet) return { update() {}, finish() {} };
  return stream.isTTY ? new BarDisplay(stream) : new LineDisplay((text) => stream.write(text));
}

/** The same for a push: elsewhere than on a terminal a line for each layer that is done with. */
export function pushDisplay(stream: NodeJS.WriteStream, quiet: boolean): PullDisplay {
  if (quiet) return { update() {}, finish() {} };
  if (stream.isTTY) return new BarDisplay(stream, PUSH_WORDS);
  return {
    update(layers) {
      for (const { layer, phase } of layers) {
        const over = phase === "done" || phase === "present" || phase === "mounted";
        if (over && layer !== "") stream.write(`${shortId(layer)}: ${PUSH_WORDS[phase]}\n`);
      }
    },
    finish() {},
  };
}

function word(phase: string): string {
  return WORDS[phase] ?? "Working";
}

/** One line each time a layer begins or is complete. */
export class LineDisplay implements PullDisplay {
  readonly #write: (text: string) => void;
  readonly #seen = new Map<string, string>();
  readonly #retries = new Map<string, number>();

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  update(layers: readonly LayerState[]): void {
    for (const { layer, phase, retries = 0, host = "" } of layers) {
      if (layer === "") continue;
      if (retries > (this.#retries.get(layer) ?? 0)) {
        this.#retries.set(layer, retries);
        this.#write(`${shortId(layer)}: Retrying (transfer from ${harmless(host)} broke)\n`);
      }
      const before = this.#seen.get(layer);
      if (before === phase) continue;
      this.#seen.set(layer, phase);
      if (before === undefined && phase !== "done") this.#write(`${shortId(layer)}: Pulling layer\n`);
      if (phase === "done") this.#write(`${shortId(layer)}: ${word(phase)}\n`);
    }
  }

  finish(): void {}
}

/** On a screen that is narrower there is room for the share only. */
const narrowColumns = 50;

type Screen = Pick<NodeJS.WriteStream, "write" | "columns" | "rows">;

/** A bar for each layer, drawn over the last picture. */
export class BarDisplay implements PullDisplay {
  readonly #screen: Screen;
  readonly #words: Readonly<Record<string, string>>;
  readonly #layers = new Map<string, LayerState>();
  #drawn = 0;

  constructor(screen: Screen, words = WORDS) {
    this.#screen = screen;
    this.#words = words;
  }

  update(layers: readonly LayerState[]): void {
    for (const layer of layers) if (layer.layer !== "") this.#layers.set(layer.layer, layer);
    this.#draw(this.#visible());
  }

  finish(): void {
    this.#draw([...this.#layers.values()].map((layer) => this.#line(layer)));
  }

  /** Lines that fit on the screen: layers that are complete make room for the others first. */
  #visible(): string[] {
    const room = Math.max(3, (this.#screen.rows || 24) - 2);
    let layers = [...this.#layers.values()];
    if (layers.length > room) {
      const open = layers.filter(({ phase }) => phase !== "done");
      layers = open.length >= room ? open.slice(0, room - 1) : open;
    }
    const hidden = this.#layers.size - layers.length;
    const lines = layers.map((layer) => this.#line(layer));
    return hidden === 0 ? lines : [...lines, `… and ${hidden} more layers`];
  }

  #draw(lines: readonly string[]): void {
    const width = this.#screen.columns || 80;
    const up = this.#drawn === 0 ? "" : `\x1b[${this.#drawn}A`;
    const body = lines.map((line) => `\x1b[2K${[...line].slice(0, width - 1).join("")}\n`).join("");
    // Lines of a longer picture before this one are wiped.
    this.#screen.write(`${up}${body}\x1b[J`);
    this.#drawn = lines.length;
  }

  #line({ layer, phase, bytes, total, rate = 0n, retries = 0 }: LayerState): string {
    const head = `${shortId(layer)}: ${this.#words[phase] ?? "Working"}`;
    if (!MOVING.has(phase) || total <= 0n) return head;
    const share = Math.min(1, Number(bytes) / Number(total));
    if ((this.#screen.columns || 80) < narrowColumns) return `${head} ${Math.floor(share * 100)}%`;
    const room = Math.max(0, Math.min(50, (this.#screen.columns || 80) - head.length - 46));
    const full = Math.round(share * room);
    const bar =
      room < 8 ? "" : `[${"=".repeat(Math.max(0, full - 1))}>${" ".repeat(room - Math.max(1, full))}] `;
    const speed = phase === "download" && rate > 0n ? ` ${humanSize(Number(rate))}/s` : "";
    const again = retries === 0 ? "" : ` (${retries} retries)`;
    const amount = `${humanSize(Number(bytes), 4)}/${humanSize(Number(total), 4)}`;
    return `${head.padEnd(25)} ${bar}${amount}${speed}${again}`;
  }
}
