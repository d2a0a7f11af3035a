// Sessions under damaged and random input, with a fixed seed and budget: whatever comes, the session either
// goes on or ends, keeps little, and throws nothing.

import { readFileSync } from "node:fs";
import { duplexPair } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { FrameParser, MAX_CONTROL_BYTES, SpdyError } from "../../../../src/streaming/spdy/frames.ts";
import { SpdySession } from "../../../../src/streaming/spdy/session.ts";
import { controlFrame, dataFrame } from "./client.ts";

const PARSER_ROUNDS = 4_000;
const SESSION_ROUNDS = 400;

/** xorshift32: the same numbers on every run. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const { frames } = JSON.parse(readFileSync("test/vectors/spdy-frames.json", "utf8")) as {
  frames: { hex: string }[];
};
const seeds = frames.map(({ hex }) => Buffer.from(hex, "hex"));

function input(random: (below: number) => number): Buffer {
  const parts: Buffer[] = random(4) === 0 ? [] : [...seeds];
  for (let extra = random(6); extra > 0; extra--) {
    const rest = Buffer.from(Array.from({ length: random(40) }, () => random(256)));
    const words = Array.from({ length: random(4) }, () => random(12));
    const frame =
      random(2) === 0 ? controlFrame(random(11), words, rest, random(4)) : dataFrame(1 + random(8), rest);
    parts.splice(random(parts.length + 1), 0, frame);
  }
  const bytes = Buffer.concat(parts);
  for (let damage = random(5); damage > 0 && bytes.length > 0; damage--)
    bytes[random(bytes.length)] = random(256);
  return bytes.subarray(0, random(8) === 0 ? random(bytes.length + 1) : bytes.length);
}

function cut(bytes: Buffer, random: (below: number) => number): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + random(60);
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

it("the parser", () => {
  const random = numbers(20_261_126);
  let refused = 0;
  for (let round = 0; round < PARSER_ROUNDS; round++) {
    const parser = new FrameParser();
    try {
      for (const chunk of cut(input(random), random)) {
        parser.push(chunk);
        while (parser.next() !== null);
        expect(parser.buffered).toBeLessThanOrEqual(MAX_CONTROL_BYTES);
      }
    } catch (error) {
      expect(error).toBeInstanceOf(SpdyError);
      refused++;
    }
  }
  // Both kinds were met.
  expect(refused).toBeGreaterThan(PARSER_ROUNDS / 20);
  expect(refused).toBeLessThan(PARSER_ROUNDS);
});

it("whole sessions", async () => {
  const random = numbers(42);
  let opened = 0;
  for (let round = 0; round < SESSION_ROUNDS; round++) {
    const [transport, client] = duplexPair();
    client.on("error", () => {});
    client.resume();
    const { promise, resolve } = Promise.withResolvers<Error | null>();
    const session = new SpdySession(transport, Buffer.alloc(0), {
      onStream: (stream) => {
        opened++;
        if (random(4) === 0) stream.refuse();
        else stream.accept().pipe(stream);
      },
      onClosed: resolve,
    });
    for (const chunk of cut(input(random), random)) client.write(chunk);
    // Header blocks are inflated on another thread.
    await sleep(2);
    client.end();
    const cause = await promise;
    if (cause !== null) expect(cause).toBeInstanceOf(SpdyError);
    expect(session.streamCount).toBe(0);
  }
  // How many depends on how far a session comes before its client leaves.
  expect(opened).toBeGreaterThan(SESSION_ROUNDS / 4);
});
