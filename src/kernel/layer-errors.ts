// Errors of the addon's doors for layers. They become KernelError; what is wrong with the layer's data itself
// becomes INVALID_ARGUMENT, so that nobody retries it, and what is wrong with a layer on disk DATA_LOSS.

import { BerthError, KernelError } from "../lib/errors.ts";

export async function translated<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw layerError(error);
  }
}

/** The same of what reads a layer that is there: what is wrong with its image becomes DATA_LOSS, too. */
export async function translatedReading<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw readingError(error);
  }
}

/** Steps of the readers of the stream and of the archive: their failures are the layer's fault. */
const DATA_STEP = /^(?:tar|gzip|zstd|layer): /;
/** Of a layer's record, or of the layer that it is compared with. */
const RECORD_STEP = /^layer record: /;
const IMAGE_STEP = /^layer image: /;
/** What is wrong with an image itself, or with the disk below it. */
const IMAGE_ERRORS = ["EBADMSG", "EINVAL", "EIO", "EOPNOTSUPP", "EUCLEAN"];
/** Those among them that the administrator sets. */
const LIMIT_STEP = /than the limit\b/;

export function layerError(error: unknown): unknown {
  const { step, errno, path } = error as { step?: unknown; errno?: unknown; path?: unknown };
  if (typeof step !== "string" || typeof errno !== "string" || typeof path !== "string") return error;
  const kernelError = new KernelError(step, errno, path);
  if (RECORD_STEP.test(step)) return recordError(kernelError);
  if (!DATA_STEP.test(step) || errno === "ENOMEM") return kernelError;
  const entry = path === "" ? "" : ` (entry ${JSON.stringify(path)})`;
  const what = `${step.replace(/^layer: /, "")}${entry}`;
  if (LIMIT_STEP.test(step)) {
    const next = "raise it under [images] if you trust the image";
    const message = `layer is over a limit of the configuration: ${what}; ${next}`;
    return new BerthError("RESOURCE_EXHAUSTED", message, { cause: kernelError });
  }
  const message = `layer is damaged or not acceptable: ${what}`;
  return new BerthError("INVALID_ARGUMENT", message, { cause: kernelError });
}

export function readingError(error: unknown): unknown {
  const translation = layerError(error);
  if (!(translation instanceof KernelError) || !IMAGE_STEP.test(translation.step)) return translation;
  if (!IMAGE_ERRORS.includes(translation.errno)) return translation;
  const what = translation.step.replace(IMAGE_STEP, "");
  const message = `layer is damaged: ${what} (${JSON.stringify(translation.path)})`;
  return new BerthError("DATA_LOSS", message, { cause: translation });
}

/** EOPNOTSUPP: the record is sound and says that its layer cannot be made again. */
function recordError(cause: KernelError): BerthError {
  const what = cause.step.replace(RECORD_STEP, "");
  if (cause.errno === "EOPNOTSUPP") {
    const message = `make the layer's tar again: ${what} (entry ${JSON.stringify(cause.path)})`;
    return new BerthError("FAILED_PRECONDITION", message, { cause });
  }
  const message = `layer or its record is damaged: ${what} (${JSON.stringify(cause.path)})`;
  return new BerthError("DATA_LOSS", message, { cause });
}
