import { expect, it } from "vitest";
import { ByteQueue } from "../../../src/lib/byte-queue.ts";

function queueOf(...texts: string[]): ByteQueue {
  const queue = new ByteQueue();
  for (const text of texts) queue.push(Buffer.from(text));
  return queue;
}

it("gives exact amounts, however the bytes came", () => {
  const queue = queueOf("ab", "", "cde", "f");
  expect(queue.length).toBe(6);
  expect(queue.peek(3).toString()).toBe("abc");
  expect(queue.take(1).toString()).toBe("a");
  expect(queue.take(3).toString()).toBe("bcd");
  expect(queue.take(0)).toHaveLength(0);
  expect(queue.take(2).toString()).toBe("ef");
  expect(queue.length).toBe(0);
});

it("gives what lies in one piece without copying", () => {
  const chunk = Buffer.from("hello");
  const queue = new ByteQueue();
  expect(queue.takePiece(9)).toHaveLength(0);
  queue.push(chunk);
  queue.push(Buffer.from("!"));
  const piece = queue.takePiece(3);
  expect([piece.toString(), piece.buffer === chunk.buffer]).toEqual(["hel", true]);
  expect(queue.takePiece(9).toString()).toBe("lo");
  expect(queue.takePiece(9).toString()).toBe("!");
  expect(queue.length).toBe(0);
});
