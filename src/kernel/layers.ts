// The addon's doors for layers and trees as the kernel's LayerKernel.

import { Socket } from "node:net";
import { BerthError } from "../lib/errors.ts";
import type {
  FramedFile,
  LayerForm,
  LayerKernel,
  LayerUnpack,
  UnpackFiles,
  UnpackLimits,
  UnpackResult,
} from "./kernel.ts";
import { layerError, translated, translatedReading } from "./layer-errors.ts";
import { makeRecordKernel, type NativeRecords } from "./layer-records.ts";
import { probeErofs } from "./probe-erofs.ts";

/** The functions of addon/binding/layer.cc and rootfs.cc. `handle` is the addon's own. */
export interface NativeLayers extends NativeRecords {
  layerOpen(
    directory: string,
    maxBytes: number,
    maxEntries: number,
    blobFile: string,
    recordFile: string,
    fileName: string,
    fileSize: number,
    fileTime: number,
    form: LayerForm,
  ): unknown;
  layerResumeAt(handle: unknown): Promise<number>;
  layerWrite(handle: unknown, chunk: Uint8Array, from: number): number;
  layerRoom(handle: unknown): Promise<void>;
  layerFinish(handle: unknown): Promise<UnpackResult>;
  layerAbort(handle: unknown): Promise<void>;
  makeSnapshot(path: string): Promise<void>;
  removeTree(path: string): Promise<void>;
  readBeneath(layers: readonly string[], path: string, maxBytes: number): Promise<Uint8Array | null>;
  treeUsage(path: string): Promise<{ bytes: number; inodes: number }>;
  mountLayer(path: string): Promise<number>;
  probeErofs(directory: string): Promise<void>;
  relabel(path: string, label: string): Promise<void>;
  syncFilesystem(path: string): Promise<void>;
  requireDiskRoom(path: string): Promise<void>;
  treeTar(layers: readonly string[]): { fd: number; done: Promise<void> };
}

export function makeLayerKernel(native: NativeLayers): LayerKernel {
  const tryIn = (directory: string) => translated(native.probeErofs(directory));
  const kernel: LayerKernel = {
    ...makeRecordKernel(native),
    unpackLayer: (path, limits, files = {}, file = noFile, form = "directory") =>
      openLayer(native, path, limits, files, file, form),
    makeSnapshot: (path) => translated(native.makeSnapshot(path)),
    removeTree: (path) => translated(native.removeTree(path)),
    readBeneath: (layers, path, maxBytes) => translated(native.readBeneath(layers, path, maxBytes)),
    mountLayer: (path) => translatedReading(native.mountLayer(path)),
    probeErofs: (directory) => probeErofs(kernel, tryIn, directory),
    relabel: (path, label) => translated(native.relabel(path, label)),
    treeUsage: (path) => translated(native.treeUsage(path)),
    syncFilesystem: (path) => translated(native.syncFilesystem(path)),
    requireDiskRoom: (path) => translated(native.requireDiskRoom(path)),
    treeTar: (layers) => readTreeTar(native, layers),
  };
  return kernel;
}

/** The writer is a thread of its own behind a pipe: it waits for whoever reads, and ends when nobody does. */
async function* readTreeTar(native: NativeLayers, layers: readonly string[]): AsyncGenerator<Uint8Array> {
  const { fd, done } = native.treeTar(layers);
  // It is awaited below, unless the caller leaves before.
  done.catch(() => {});
  const pipe = new Socket({ fd, readable: true, writable: false });
  try {
    for await (const chunk of pipe) yield chunk as Buffer;
    await done;
  } catch (error) {
    throw layerError(error);
  } finally {
    pipe.destroy();
  }
}

const noFile: FramedFile = { name: "", size: 0, mtime: 0 };

function openLayer(
  native: NativeLayers,
  path: string,
  limits: UnpackLimits,
  { blobFile = "", recordFile = "" }: UnpackFiles,
  { name, size, mtime }: FramedFile,
  form: LayerForm,
): LayerUnpack {
  const { maxUnpackedBytes, maxEntries } = limits;
  let handle: unknown;
  try {
    const [bytes, entries] = [whole(maxUnpackedBytes), whole(maxEntries)];
    handle = native.layerOpen(path, bytes, entries, blobFile, recordFile, name, size, mtime, form);
  } catch (error) {
    throw layerError(error);
  }
  const writeRest = async (chunk: Uint8Array, from: number) => {
    for (let at = from; at < chunk.length; ) {
      await native.layerRoom(handle);
      at += native.layerWrite(handle, chunk, at);
    }
  };
  return {
    resumeAt: () => translated(native.layerResumeAt(handle)),
    write(chunk) {
      try {
        const taken = native.layerWrite(handle, chunk, 0);
        return taken < chunk.length ? translated(writeRest(chunk, taken)) : undefined;
      } catch (error) {
        return Promise.reject(layerError(error));
      }
    },
    finish: () => translated(native.layerFinish(handle)),
    abort: () => translated(native.layerAbort(handle)),
  };
}

/** As the addon takes it: limits may be Infinity. */
function whole(limit: number): number {
  if (!(limit >= 0)) throw new BerthError("INTERNAL", `unpack layer: ${limit} is no limit`);
  return Math.min(Math.floor(limit), Number.MAX_SAFE_INTEGER);
}
