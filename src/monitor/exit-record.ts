// The exit records that monitors leave on disk (docs/monitor-protocol.md, "Exit record").

import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { BerthError, errnoOf, wrapError } from "../lib/errors.ts";
import type { ExitFacts } from "../types/container.ts";
import type { ContainerId } from "../types/ids.ts";

/** Longer than any record: a damaged file is not read whole. */
const MAX_BYTES = 64;
const RECORD = /^1 (0|[1-9]\d{0,15}) (0|[1-9]\d{0,2}) (0|[1-9]\d{0,2}) ([01])\n?$/;
const MAX_SIGNAL = 64;

/**
 * How the container ended, as its monitor wrote it; null when there is no record. DATA_LOSS naming the file
 * when it does not hold one record.
 */
export async function readExitRecord(stateDir: string, id: ContainerId): Promise<ExitFacts | null> {
  const path = join(stateDir, `exit-${id}`);
  const text = await readStart(path);
  return text === null ? null : parse(path, text);
}

async function readStart(path: string): Promise<string | null> {
  let file: FileHandle;
  try {
    file = await open(path, "r");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return null;
    throw wrapError(`read exit record "${path}"`, error);
  }
  try {
    const buffer = Buffer.alloc(MAX_BYTES);
    const { bytesRead } = await file.read(buffer, 0, MAX_BYTES, 0);
    return buffer.toString("latin1", 0, bytesRead);
  } catch (error) {
    throw wrapError(`read exit record "${path}"`, error);
  } finally {
    await file.close();
  }
}

function parse(path: string, text: string): ExitFacts {
  const match = RECORD.exec(text);
  const [finishedAt, exitCode, signal] = [Number(match?.[1]), Number(match?.[2]), Number(match?.[3])];
  const isSound = Number.isSafeInteger(finishedAt) && exitCode <= 255 && signal <= MAX_SIGNAL;
  if (match === null || !isSound) {
    throw new BerthError("DATA_LOSS", `exit record "${path}" is damaged: ${JSON.stringify(text)}`);
  }
  return { finishedAt, exitCode, signal, oomKilled: match[4] === "1" };
}
