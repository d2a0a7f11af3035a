// What is known of a pull while it runs and afterwards.

import type { Digest, ImageId, Micros } from "./ids.ts";

/**
 * "resolve": names to digests, manifest and config. "layers": all layers at once. A layer's own: "wait" for
 * its turn or for another pull that fetches it, "download": waiting for bytes, "unpack": waiting for the
 * unpacker, "sync": into place and to disk. "commit": the database.
 */
export type PullPhase = "resolve" | "layers" | "wait" | "download" | "unpack" | "sync" | "commit";

export interface PhaseTime {
  readonly phase: PullPhase;
  /** When it was first entered and last left; 0: it goes on. */
  readonly beganAt: Micros;
  readonly endedAt: Micros;
  /** In all. Phases of one timeline do not overlap: their sum is the time that it took. */
  readonly activeMicros: number;
}

export interface LayerRecord {
  readonly layer: Digest;
  /** Bytes of the blob, and how many of them came over the network or were on disk from an earlier try. */
  readonly size: number;
  readonly fetchedBytes: number;
  readonly resumedBytes: number;
  /** Origin of the host that served it last; "" for none. */
  readonly host: string;
  readonly retries: number;
  /** "": not yet. "present": was on disk. "shared": another pull fetched it. */
  readonly outcome: "" | "present" | "fetched" | "shared" | "failed";
  readonly phases: readonly PhaseTime[];
}

export interface PullRecord {
  readonly id: number;
  readonly image: string;
  readonly imageId: ImageId | "";
  readonly beganAt: Micros;
  /** 0: it runs. */
  readonly endedAt: Micros;
  /** "": none. */
  readonly error: string;
  readonly phases: readonly PhaseTime[];
  readonly layers: readonly LayerRecord[];
}
