// The record of one pull in the making.

import { nowMicros } from "../lib/clock.ts";
import type { Digest, ImageId } from "../types/ids.ts";
import type { LayerRecord, PullPhase, PullRecord } from "../types/pull.ts";
import type { ProgressListener, PullProgress } from "./progress.ts";
import type { LayerSource } from "./read-image.ts";
import { Timeline } from "./timeline.ts";

/** Watchers are told of a download when so much more has come. */
const tellBytes = 512 * 1024;
/** The rate is that of the last so many milliseconds. */
const rateWindowMs = 1000;

export class PullRecorder {
  readonly #id: number;
  readonly #image: string;
  readonly #tell: ProgressListener;
  readonly #beganAt = nowMicros();
  readonly #began = performance.now();
  readonly #timeline = new Timeline();
  /** By diff ID. */
  readonly #layers = new Map<Digest, LayerRecorder>();
  #endedAt = 0;
  #imageId: ImageId | "" = "";
  #error = "";

  constructor(id: number, image: string, tell: ProgressListener) {
    this.#id = id;
    this.#image = image;
    this.#tell = tell;
  }

  enter(phase: "resolve" | "layers" | "commit"): void {
    this.#timeline.enter(phase);
    if (phase === "layers") return;
    this.#tell({ layer: "", phase, bytes: 0, total: 0, rate: 0, host: "", retries: 0 });
  }

  /**
   * The layer begins to wait. One record for each layer, however often it is asked for: of an artifact two
   * may come from the same blob.
   */
  layer({ descriptor: { digest, size }, diffId }: Pick<LayerSource, "descriptor" | "diffId">): LayerRecorder {
    const known = this.#layers.get(diffId);
    if (known !== undefined) return known;
    const made = new LayerRecorder(digest, size, this.#tell);
    this.#layers.set(diffId, made);
    return made;
  }

  end(outcome: { imageId: ImageId } | { error: string }): void {
    this.#timeline.end();
    // How long it took is true also when the clock is set meanwhile.
    this.#endedAt = this.#beganAt + Math.round((performance.now() - this.#began) * 1000);
    if ("error" in outcome) this.#error = outcome.error;
    else this.#imageId = outcome.imageId;
    for (const layer of this.#layers.values()) layer.abandon();
  }

  record(): PullRecord {
    return {
      id: this.#id,
      image: this.#image,
      imageId: this.#imageId,
      beganAt: this.#beganAt,
      endedAt: this.#endedAt,
      error: this.#error,
      phases: this.#timeline.phases(),
      layers: [...this.#layers.values()].map((layer) => layer.record()),
    };
  }
}

export class LayerRecorder {
  readonly #digest: Digest;
  readonly #size: number;
  readonly #tell: ProgressListener;
  readonly #timeline = new Timeline();
  #outcome: LayerRecord["outcome"] = "";
  #bytes = 0;
  #fetched = 0;
  #resumed = 0;
  #retries = 0;
  #host = "";
  #told = 0;
  #windowBegan = performance.now();
  #windowBytes = 0;
  #rate = 0;
  #shown: PullProgress["phase"] = "done";

  constructor(digest: Digest, size: number, tell: ProgressListener) {
    this.#digest = digest;
    this.#size = size;
    this.#tell = tell;
    this.enter("wait");
  }

  enter(phase: Exclude<PullPhase, "resolve" | "layers">): void {
    this.#timeline.enter(phase);
    // While bytes still come, watchers see what comes: unpacking goes on beside it.
    const isWhole = this.#bytes >= this.#size;
    const isBeside = (phase === "unpack" && !isWhole) || (phase === "download" && isWhole && this.#size > 0);
    if (!isBeside && phase !== this.#shown) this.#report(phase);
  }

  /** The first `bytes` of it lie on disk from an earlier try; a try that begins anew has none. */
  resume(bytes: number): void {
    this.#bytes = bytes;
    this.#told = bytes;
    this.#resumed = bytes;
  }

  received(bytes: number): void {
    this.#bytes += bytes;
    this.#fetched += bytes;
    this.#windowBytes += bytes;
    const elapsed = performance.now() - this.#windowBegan;
    if (elapsed >= rateWindowMs) {
      this.#rate = Math.round((this.#windowBytes * 1000) / elapsed);
      this.#windowBegan = performance.now();
      this.#windowBytes = 0;
    }
    if (this.#bytes - this.#told < tellBytes) return;
    this.#told = this.#bytes;
    this.#report(this.#shown);
  }

  connected(base: string): void {
    this.#host = new URL(base).origin;
    this.#windowBegan = performance.now();
    this.#windowBytes = 0;
  }

  broken(): void {
    this.#retries++;
    this.#rate = 0;
    this.#report(this.#shown);
  }

  done(outcome: "present" | "fetched" | "shared"): void {
    if (this.#outcome !== "") return;
    this.#outcome = outcome;
    this.#timeline.end();
    this.#bytes = this.#size;
    this.#rate = 0;
    this.#report("done");
  }

  /** The pull has ended without it. */
  abandon(): void {
    if (this.#outcome !== "") return;
    this.#outcome = "failed";
    this.#timeline.end();
  }

  record(): LayerRecord {
    return {
      layer: this.#digest,
      size: this.#size,
      fetchedBytes: this.#fetched,
      resumedBytes: this.#resumed,
      host: this.#host,
      retries: this.#retries,
      outcome: this.#outcome,
      phases: this.#timeline.phases(),
    };
  }

  #report(phase: PullProgress["phase"]): void {
    this.#shown = phase;
    this.#tell({
      layer: this.#digest,
      phase,
      bytes: this.#bytes,
      total: this.#size,
      rate: this.#rate,
      host: this.#host,
      retries: this.#retries,
    });
  }
}
