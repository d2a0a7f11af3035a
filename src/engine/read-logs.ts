// Reads a container's log file as the monitor (or a kubelet's rotation) leaves it on disk.

import { constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import type { LogRecord } from "../gen/berth/v1/engine.ts";
import { BerthError, errnoOf, wrapError } from "../lib/errors.ts";
import { LogJoiner } from "./log-joiner.ts";
import { tailOffset } from "./log-tail.ts";

const BLOCK = 64 * 1024;
const LINE_FEED = 0x0a;
/** A line without an end is given up as garbage beyond this. */
const MAX_LINE = 1024 * 1024;

export interface ReadLogsOptions {
  readonly follow: boolean;
  /** Only the last so many lines. */
  readonly tail?: number | undefined;
  /** Only records not older than this; 0n for all. */
  readonly sinceNs?: bigint | undefined;
  /** With `follow`: whether nothing more will be written. */
  readonly ended: () => boolean;
  /** With `follow`: resolves when there may be news: the file changed, the container ended, time passed. */
  readonly wait: () => Promise<void>;
  readonly signal: AbortSignal;
}

/**
 * Yields the records of the log file at `path` in batches. With `follow` it goes on until `ended`, and
 * across rotation: when another file has taken the path, the old one is read to its end first.
 * Returns the number of lines that were not of the log format; those are left out.
 *
 * @throws BerthError NOT_FOUND when there is no such file; FAILED_PRECONDITION when it is no regular file
 */
export async function* readLogs(
  path: string,
  options: ReadLogsOptions,
): AsyncGenerator<LogRecord[], number, undefined> {
  const joiner = new LogJoiner(options.sinceNs ?? 0n);
  let file = await openLog(path);
  try {
    const { size } = await file.stat();
    let offset = options.tail === undefined ? 0 : await tailOffset(file, size, options.tail);
    for (;;) {
      // Asked before the file is read: what was written before the end is then surely read.
      const ended = !options.follow || options.ended();
      const rotated = options.follow && (await isReplaced(path, file));
      offset = yield* readOn(file, offset, joiner, options.signal);
      if (rotated) {
        const successor = await openLog(path);
        await file.close();
        file = successor;
        offset = 0;
        continue;
      }
      if (ended || options.signal.aborted) break;
      await options.wait();
    }
    const rest = joiner.flush();
    if (rest.length > 0) yield rest;
    return joiner.garbage;
  } finally {
    await file.close();
  }
}

async function openLog(path: string): Promise<FileHandle> {
  let file: FileHandle;
  try {
    // Without O_NONBLOCK, a pipe in the file's place would hang the reader.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw wrapError(`open log "${path}"`, error, errnoOf(error) === "ENOENT" ? "NOT_FOUND" : "INTERNAL");
  }
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new BerthError("FAILED_PRECONDITION", `open log "${path}": it is not a regular file`);
}

/** Whether another file has taken the path since `file` was opened. */
async function isReplaced(path: string, file: FileHandle): Promise<boolean> {
  try {
    const [mine, there] = await Promise.all([file.stat(), stat(path)]);
    return mine.ino !== there.ino || mine.dev !== there.dev;
  } catch (error) {
    // Between the rename and the new file there is none at the path.
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}

/** Reads complete lines from `offset` to the end; returns the offset of the first incomplete one. */
async function* readOn(
  file: FileHandle,
  from: number,
  joiner: LogJoiner,
  signal: AbortSignal,
): AsyncGenerator<LogRecord[], number, undefined> {
  const { size } = await file.stat();
  // Cut off in place (copytruncate): what is there now is new.
  let offset = size < from ? 0 : from;
  let carry = Buffer.alloc(0);
  const block = Buffer.alloc(BLOCK);
  while (!signal.aborted) {
    const { bytesRead } = await file.read(block, 0, BLOCK, offset + carry.length);
    if (bytesRead === 0) break;
    const data = Buffer.concat([carry, block.subarray(0, bytesRead)]);
    const { records, consumed } = takeLines(data, joiner);
    offset += consumed;
    carry = data.subarray(consumed);
    if (carry.length > MAX_LINE) {
      joiner.garbage++;
      offset += carry.length;
      carry = Buffer.alloc(0);
    }
    if (records.length > 0) yield records;
  }
  return offset;
}

function takeLines(data: Buffer, joiner: LogJoiner): { records: LogRecord[]; consumed: number } {
  const records: LogRecord[] = [];
  let start = 0;
  for (;;) {
    const end = data.indexOf(LINE_FEED, start);
    if (end < 0) return { records, consumed: start };
    const record = joiner.add(data.subarray(start, end));
    if (record !== null) records.push(record);
    start = end + 1;
  }
}
