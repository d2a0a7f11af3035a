import { expect, it } from "vitest";
import { releaseBuffer } from "../../../src/lib/release-buffer.ts";

it("empties a piece that has its memory for itself", () => {
  const piece = new Uint8Array(70_000);
  releaseBuffer(piece);
  expect(piece.byteLength).toBe(0);
  releaseBuffer(piece);
});

it("leaves memory alone that others see as well", () => {
  const whole = new Uint8Array([1, 2, 3, 4]);
  releaseBuffer(whole.subarray(1, 3));
  expect([...whole]).toEqual([1, 2, 3, 4]);
  const pooled = Buffer.from("pooled");
  releaseBuffer(pooled);
  expect(pooled.toString()).toBe("pooled");
  const shared = new Uint8Array(new SharedArrayBuffer(4));
  releaseBuffer(shared);
  expect(shared.byteLength).toBe(4);
});
