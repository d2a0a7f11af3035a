// The bytes of a layer into a directory or an image, until they are the right ones: what has come stays on
// disk for another try, and a host that sends something else is asked no more.

import { createHash } from "node:crypto";
import type { PartialLease } from "../blobs/partials.ts";
import type { LayerForm, LayerUnpack, UnpackResult } from "../kernel/kernel.ts";
import { BerthError, errnoOf, messageOf, wrapError } from "../lib/errors.ts";
import { releaseBuffer } from "../lib/release-buffer.ts";
import type { TransferObserver } from "../registry/client.ts";
import { RegistryFailure } from "../registry/failure.ts";
import { type LayerJob, prepareTree, type StagedLayer } from "./fetch-layer.ts";
import { wantsBlob } from "./keep-blobs.ts";
import type { LayerRecorder } from "./pull-recorder.ts";
import type { LayerSource } from "./read-image.ts";

/** Parts of smaller blobs are not kept: to fetch them again costs less. */
export const minPartialBytes = 1024 * 1024;

/** Content that is not what the manifest says; `endpoints` are those whose bytes are in it. */
class WrongContent extends Error {
  readonly failure: BerthError;
  readonly endpoints: ReadonlySet<string>;
  /** Put together from several answers, of which each may be good. */
  readonly isMixed: boolean;

  constructor(failure: BerthError, endpoints: ReadonlySet<string>, isMixed: boolean) {
    super(failure.message);
    this.failure = failure;
    this.endpoints = endpoints;
    this.isMixed = isMixed;
  }
}

/** The blob is the one that was asked for, and still not what the image says of it. */
class WrongImage extends BerthError {}

/** The layer is one that an image cannot hold. */
class UnfitForm extends BerthError {}

export interface UnpackedBlob {
  readonly result: UnpackResult;
  /** What was kept of the blob: to be dropped when the layer is recorded, and released. */
  readonly lease: PartialLease | null;
}

/**
 * Unpacks into what `staged` names, which is made, and made anew for each try: in the form of new layers, or
 * as a directory when an image cannot hold the layer. So is an artifact's: its file can be the kept blob.
 */
export async function unpackBlob(
  job: LayerJob,
  source: LayerSource,
  staged: StagedLayer,
  signal: AbortSignal,
  record: LayerRecorder,
): Promise<UnpackedBlob> {
  const liars = new Set<string>();
  let first: WrongContent | undefined;
  let wasMixed = false;
  const asDirectory = source.file !== undefined || source.keepDirectory === true;
  let form = asDirectory ? "directory" : job.deps.layerForms.form;
  for (;;) {
    await prepareTree(staged.tree, form);
    try {
      return await tryOnce(job, source, { ...staged, form }, signal, record, liars);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof UnfitForm) {
        const layer = source.descriptor.digest;
        job.call.log.info({ image: job.what, layer, error: error.message }, "unpack as a directory instead");
        form = "directory";
        await removeStaged(job, staged);
        continue;
      }
      if (!(error instanceof WrongContent)) throw first?.failure ?? error;
      // The first failure tells most: it is the one that is thrown when everybody has been asked.
      first ??= error;
      if (!job.source.isRemote) throw first.failure;
      job.call.log.warn({ image: job.what, error: error.message, from: [...error.endpoints] }, "fetch again");
      record.broken();
      const [liar] = error.endpoints;
      if ((!error.isMixed || wasMixed) && liar !== undefined) liars.add(liar);
      wasMixed ||= error.isMixed;
      await removeStaged(job, staged);
    }
  }
}

async function removeStaged(job: LayerJob, { tree, record }: StagedLayer): Promise<void> {
  for (const path of [tree, record]) await job.deps.kernel.removeTree(path);
}

type StagedForm = StagedLayer & { readonly form: LayerForm };

async function tryOnce(
  job: LayerJob,
  source: LayerSource,
  staged: StagedForm,
  signal: AbortSignal,
  record: LayerRecorder,
  liars: ReadonlySet<string>,
): Promise<UnpackedBlob> {
  const { digest, size } = source.descriptor;
  const worthIt = size >= minPartialBytes || wantsBlob(job.deps, source, "");
  // Of what is replayed only sha256 is computed.
  const keep = job.source.isRemote && worthIt && digest.startsWith("sha256:");
  const lease = keep ? await job.deps.partials.lease(digest) : null;
  try {
    return { result: await new Attempt(job, source, signal, record).run(staged, liars, lease), lease };
  } catch (error) {
    if (error instanceof WrongContent) await lease?.drop();
    lease?.release();
    throw error;
  }
}

/** One way through the bytes, from wherever they come. */
class Attempt {
  readonly #job: LayerJob;
  readonly #source: LayerSource;
  readonly #signal: AbortSignal;
  readonly #record: LayerRecorder;
  readonly #endpoints = new Set<string>();
  #answers = 0;
  #resumeAt = 0;

  constructor(job: LayerJob, source: LayerSource, signal: AbortSignal, record: LayerRecorder) {
    this.#job = job;
    this.#source = source;
    this.#signal = signal;
    this.#record = record;
  }

  /** Rejects with WrongContent when what came is not what was asked for. */
  async run(
    staged: StagedForm,
    liars: ReadonlySet<string>,
    lease: PartialLease | null,
  ): Promise<UnpackResult> {
    const { maxLayerUnpackedBytes, maxLayerEntries } = this.#job.deps.config.images;
    const limits = { maxUnpackedBytes: maxLayerUnpackedBytes, maxEntries: maxLayerEntries };
    const files = { recordFile: staged.record, ...(lease === null ? {} : { blobFile: lease.path }) };
    const { kernel } = this.#job.deps;
    const unpack = kernel.unpackLayer(staged.tree, limits, files, this.#source.file, staged.form);
    const stop = () => void abortUnpack(this.#job, unpack);
    this.#signal.addEventListener("abort", stop, { once: true });
    try {
      const sha512 = await this.#feed(unpack, liars);
      this.#record.enter("unpack");
      const result = await unpack.finish();
      this.#check(sha512 === undefined ? result : { ...result, blobDigest: `sha512:${sha512}` });
      return result;
    } catch (error) {
      await abortUnpack(this.#job, unpack);
      this.#signal.throwIfAborted();
      throw this.#failureOf(error, staged.form);
    } finally {
      this.#signal.removeEventListener("abort", stop);
    }
  }

  /** Returns the blob's sha512 when that is its digest: the unpacker computes sha256. */
  async #feed(unpack: LayerUnpack, liars: ReadonlySet<string>): Promise<string | undefined> {
    const { descriptor } = this.#source;
    const record = this.#record;
    record.enter("unpack");
    this.#resumeAt = await unpack.resumeAt();
    record.resume(this.#resumeAt);
    if (this.#resumeAt > descriptor.size) throw this.#mismatch("size", this.#resumeAt, descriptor.size);
    record.enter("wait");
    // The other algorithm of the specification is rare enough for this thread.
    const sha512 = descriptor.digest.startsWith("sha512:") ? createHash("sha512") : undefined;
    const options = { first: this.#resumeAt, without: liars, observer: this.#observer() };
    const { source } = this.#job;
    const taken = (chunk: Uint8Array) => {
      // From the network it is ours alone.
      if (source.isRemote) releaseBuffer(chunk);
    };
    const take = (chunk: Uint8Array) => {
      record.received(chunk.byteLength);
      sha512?.update(chunk);
      const full = unpack.write(chunk);
      if (full === undefined) {
        taken(chunk);
        return undefined;
      }
      record.enter("unpack");
      return full.then(() => {
        taken(chunk);
        record.enter("download");
      });
    };
    await source.pour(descriptor, take, this.#signal, options);
    return sha512?.digest("hex");
  }

  #observer(): TransferObserver {
    const { what, call } = this.#job;
    return {
      connected: (base) => {
        this.#endpoints.add(base);
        this.#answers++;
        this.#record.connected(base);
        this.#record.enter("download");
      },
      broken: (from, error) => {
        this.#record.broken();
        const layer = this.#source.descriptor.digest;
        call.log.info(
          { image: what, layer, from, error: messageOf(error) },
          "transfer broken, taken up again",
        );
      },
    };
  }

  #check(result: UnpackResult): void {
    const { descriptor, diffId, file } = this.#source;
    if (result.blobDigest !== descriptor.digest) {
      throw this.#mismatch("digest", result.blobDigest, descriptor.digest);
    }
    // The bytes are the right ones: no other host has others.
    if (file === undefined && result.diffId !== diffId) {
      throw new WrongImage("DATA_LOSS", this.#mismatch("diff ID", result.diffId, diffId).message);
    }
  }

  #mismatch(what: string, actual: string | number, expected: string | number): BerthError {
    return new BerthError(
      "DATA_LOSS",
      `unpack layer "${this.#source.descriptor.digest}" of ${this.#job.what}: ` +
        `its ${what} is "${actual}", not "${expected}"`,
    );
  }

  #failureOf(error: unknown, form: LayerForm): Error {
    if (error instanceof RegistryFailure || error instanceof WrongImage) return error;
    const isOurs = error instanceof BerthError && error.code === "DATA_LOSS";
    const doing = `unpack layer "${this.#source.descriptor.digest}" of ${this.#job.what}`;
    const failure = isOurs ? error : wrapError(doing, error);
    if (form === "erofs" && errnoOf(error) === "EOVERFLOW") return new UnfitForm("INTERNAL", failure.message);
    // What the unpacker cannot make sense of may be another blob.
    if (!isOurs && failure.code !== "INVALID_ARGUMENT") return failure;
    const isMixed = this.#resumeAt > 0 || this.#answers > 1;
    return new WrongContent(failure, this.#endpoints, isMixed);
  }
}

async function abortUnpack(job: LayerJob, unpack: LayerUnpack): Promise<void> {
  try {
    await unpack.abort();
  } catch (error) {
    job.call.log.error({ image: job.what, error: messageOf(error) }, "stop unpacking failed");
  }
}
