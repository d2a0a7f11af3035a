// The addon's doors for tar records (addon/binding/record.cc) as the kernel's LayerRecordKernel.

import type { LayerComparison, LayerRecord, LayerRecordKernel } from "./kernel.ts";
import { layerError, translated } from "./layer-errors.ts";

export interface NativeRecords {
  recordSummary(record: string): Promise<LayerRecord>;
  recordCompare(directory: string, record: string, contents: boolean): Promise<LayerComparison>;
  recordReplay(directory: string, record: string): unknown;
  recordRead(handle: unknown): Promise<Uint8Array | null>;
  recordClose(handle: unknown): Promise<void>;
}

export function makeRecordKernel(native: NativeRecords): LayerRecordKernel {
  return {
    readLayerRecord: (record) => translated(native.recordSummary(record)),
    checkLayer: (directory, record) => translated(native.recordCompare(directory, record, false)),
    verifyLayer: (directory, record) => translated(native.recordCompare(directory, record, true)),
    recreateLayer: (directory, record) => recreate(native, directory, record),
  };
}

/** One piece is read while the one before is in the caller's hands. */
async function* recreate(
  native: NativeRecords,
  directory: string,
  record: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const handle = native.recordReplay(directory, record);
  const read = () => {
    const piece = native.recordRead(handle);
    // It is awaited later, or not at all when the caller leaves.
    piece.catch(() => {});
    return piece;
  };
  try {
    let next = read();
    for (let piece = await next; piece !== null; piece = await next) {
      next = read();
      yield piece;
    }
  } catch (error) {
    throw layerError(error);
  } finally {
    await native.recordClose(handle);
  }
}
