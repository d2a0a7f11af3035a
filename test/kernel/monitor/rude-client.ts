// A client that says to a monitor what no daemon would. Nothing of it may be executed: a plan that is sent is
// cut short, because a plan that was changed at random could do anything to the host.

import { connect, type Socket } from "node:net";

/** Neither FORGET, which would soon leave nothing to be rude about, nor SHUTDOWN. */
const FRAME_TYPES = [1, 2, 3, 5, 6, 8, 9, 10, 11, 12, 13, 64, 255, 65_535];

/** mulberry32: the same sequence for the same seed. */
export function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

export function frameOf(type: number, payload: Buffer, length = payload.length): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt32LE(length, 0);
  header.writeUInt16LE(type, 4);
  header.writeUInt32LE(7, 8);
  return Buffer.concat([header, payload]);
}

function text(value: string): Buffer {
  const bytes = Buffer.alloc(2 + value.length, value);
  bytes.writeUInt16LE(value.length, 0);
  bytes.write(value, 2, "latin1");
  return bytes;
}

/** Frames that are whole, cut, too long, out of place or noise, about containers of the given names. */
export function rudeFrames(seed: number, ids: readonly string[], plan: Uint8Array): Buffer {
  const below = randomNumbers(seed);
  const frames = below(2) === 0 ? [frameOf(1, Buffer.from([1, 0]))] : [];
  for (let count = 1 + below(8); count > 0; count--) {
    const type = FRAME_TYPES[below(FRAME_TYPES.length)] as number;
    const id = text(ids[below(ids.length)] as string);
    const noise = Buffer.from(Array.from({ length: below(300) }, () => below(256)));
    const cut = Buffer.from(plan.subarray(0, below(plan.length)));
    const size = Buffer.alloc(4);
    size.writeUInt32LE(below(3) === 0 ? below(0xffff_ffff) : cut.length);
    const wordy = Buffer.concat([
      id,
      text("/nowhere"),
      text(""),
      Buffer.from([below(8)]),
      text(""),
      size,
      cut,
    ]);
    const payload = [noise, Buffer.concat([id, noise]), wordy, wordy.subarray(0, below(wordy.length)), id];
    const chosen = payload[below(payload.length)] as Buffer;
    frames.push(frameOf(type, chosen, below(10) === 0 ? below(0x20_0000) : chosen.length));
  }
  return Buffer.concat(frames);
}

/** Sends the bytes in pieces, and leaves, politely or not. Resolves when the connection is gone. */
export function sayAndLeave(socketPath: string, bytes: Buffer, seed: number): Promise<void> {
  const below = randomNumbers(seed);
  return new Promise((resolve, reject) => {
    const socket: Socket = connect(socketPath);
    socket.on("error", (error: NodeJS.ErrnoException) => {
      // The monitor hung up first: its right.
      if (error.code !== "EPIPE" && error.code !== "ECONNRESET") reject(error);
    });
    socket.on("close", () => resolve());
    socket.on("end", () => socket.destroy());
    socket.resume();
    for (let at = 0; at < bytes.length; ) {
      const size = 1 + below(below(2) === 0 ? 20 : 5000);
      socket.write(bytes.subarray(at, at + size));
      at += size;
    }
    if (below(2) === 0) socket.destroySoon();
    else socket.end(() => setTimeout(() => socket.destroy(), below(5)));
  });
}
