import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { allInTurns, filterInTurns, inTurns, mapInTurns, nextTurn } from "../../../src/lib/turns.ts";

/** Each look at the clock takes so long: about eight items make a piece. */
const STEP_MS = 0.05;
const MOST_PER_PIECE = 9;

/** Never goes back, as the real one. */
let clock = performance.now() + 1_000;
let turn: number;
let counting: NodeJS.Immediate;

beforeEach(() => {
  turn = 0;
  vi.spyOn(performance, "now").mockImplementation(() => (clock += STEP_MS));
  const count = () => {
    turn++;
    counting = setImmediate(count);
  };
  count();
});
afterEach(() => {
  clearImmediate(counting);
  vi.restoreAllMocks();
});

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

describe("work in turns", () => {
  it("does everything in order, and lets the loop turn in between", async () => {
    const doneIn: number[] = [];
    const done: number[] = [];
    await inTurns(numbers(200), (item) => {
      done.push(item);
      doneIn.push(turn);
    });
    expect(done).toEqual(numbers(200));
    expect(largest(doneIn)).toBeLessThanOrEqual(MOST_PER_PIECE);
  });

  it("shares one piece per turn among all who work", async () => {
    const doneIn: number[] = [];
    const works = numbers(20).map(() => inTurns(numbers(50), () => void doneIn.push(turn)));
    await Promise.all(works);
    expect(doneIn).toHaveLength(1_000);
    // What is left of one piece goes to who comes then, and the next piece may begin in the same turn.
    expect(largest(doneIn)).toBeLessThanOrEqual(2 * MOST_PER_PIECE);
  });

  it("gives turns one at a time, in the order of asking", async () => {
    const given: [number, number][] = [];
    await Promise.all(numbers(5).map((who) => nextTurn().then(() => given.push([who, turn]))));
    expect(given.map(([who]) => who)).toEqual(numbers(5));
    expect(new Set(given.map(([, when]) => when)).size).toBe(5);
  });

  it("keeps order and results, and stops at what fails", async () => {
    expect(await mapInTurns(numbers(30), (item) => item * 2)).toEqual(numbers(30).map((item) => item * 2));
    expect(await filterInTurns(numbers(30), (item) => item % 2 === 0)).toHaveLength(15);
    const seen: number[] = [];
    const failing = inTurns(numbers(30), (item) => {
      seen.push(item);
      if (item === 12) throw new Error("thirteenth");
    });
    await expect(failing).rejects.toThrow("thirteenth");
    expect(seen).toEqual(numbers(13));
    // Who comes later is not held up by it.
    await inTurns(numbers(30), () => {});
  });
});

it("waits for all that was started, whatever fails, and tells the first failure", async () => {
  const ended: number[] = [];
  const work = async (item: number) => {
    await nextTurn();
    ended.push(item);
    if (item % 10 === 3) throw new Error(`failed at ${item}`);
  };
  await expect(allInTurns(numbers(40), work)).rejects.toThrow("failed at 3");
  expect(ended).toHaveLength(40);
});

/** How many items the fullest turn had. */
function largest(turns: readonly number[]): number {
  return Math.max(...[...Map.groupBy(turns, (each) => each).values()].map(({ length }) => length));
}
