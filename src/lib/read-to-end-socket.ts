// A socket whose peer may close while something is on its way to it.

import { Socket } from "node:net";

type WriteCallback = (error?: Error | null) => void;

/**
 * Failed writes do not destroy it: a peer that closes while input is on its way has sent something before,
 * which is still to be read. Reading then meets the end of the connection by itself.
 */
export class ReadToEndSocket extends Socket {
  override _write(chunk: unknown, encoding: BufferEncoding, callback: WriteCallback): void {
    super._write(chunk, encoding, forgiving(callback));
  }

  override _writev(chunks: { chunk: unknown; encoding: BufferEncoding }[], callback: WriteCallback): void {
    super._writev?.(chunks, forgiving(callback));
  }
}

function forgiving(callback: WriteCallback): WriteCallback {
  return (error) => {
    const code = (error as NodeJS.ErrnoException | null | undefined)?.code;
    callback(code === "EPIPE" || code === "ECONNRESET" ? null : error);
  };
}
