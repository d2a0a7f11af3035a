// The addon's doors for tar records (addon/binding/record.cc) as the kernel's LayerRecordKernel.

import type { LayerComparison, LayerRecord, LayerRecordKernel } from "./kernel.ts";
import { readingError, translated, translatedReading } from "./layer-errors.ts";

export interface NativeRecords {
  recordSummary(record: string): Promise<LayerRecord>;
  recordCompare(layer: string, record: string, contents: boolean): Promise<LayerComparison>;
  recordReplay(layer: string, record: string): unknown;
  recordRead(handle: unknown): Promise<Uint8Array | null>;
  recordClose(handle: unknown): Promise<void>;
}

export function makeRecordKernel(native: NativeRecords): LayerRecordKernel {
  return {
    readLayerRecord: (record) => translated(native.recordSummary(record)),
    checkLayer: (layer, record) => translatedReading(native.recordCompare(layer, record, false)),
    verifyLayer: (layer, record) => translatedReading(native.recordCompare(layer, record, true)),
    recreateLayer: (layer, record) => recreate(native, layer, record),
  };
}

/** One piece is read while the one before is in the caller's hands. */
async function* recreate(
  native: NativeRecords,
  layer: string,
  record: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const handle = native.recordReplay(layer, record);
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
    throw readingError(error);
  } finally {
    await native.recordClose(handle);
  }
}
