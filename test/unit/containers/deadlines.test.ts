import { describe, expect, test } from "vitest";
import { silentLogger } from "../../../src/lib/call.ts";
import { within } from "../../../src/lib/deadline.ts";
import { BerthError } from "../../../src/lib/errors.ts";
import { EventHub } from "../../../src/lib/event-hub.ts";
import { nearest } from "../../../src/lib/nearest.ts";
import { outlive } from "../../../src/lib/outlive.ts";
import { SingleFlight } from "../../../src/lib/single-flight.ts";
import { makeCall } from "./world.ts";

describe("outlive", () => {
  test("a caller that left already gets its error, and the work goes on", async () => {
    const flight = new SingleFlight<number>();
    const leaving = new AbortController();
    leaving.abort(new BerthError("DEADLINE_EXCEEDED", "late"));
    let finish: (value: number) => void = () => {};
    const work = () =>
      new Promise<number>((resolve) => {
        finish = resolve;
      });
    const first = outlive(
      makeCall(() => {}, leaving.signal),
      flight,
      "k",
      "do it",
      work,
    );
    await expect(first).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
    const second = outlive(
      makeCall(() => {}),
      flight,
      "k",
      "do it",
      () => Promise.reject(new Error("not run")),
    );
    finish(7);
    expect(await second).toBe(7);
  });

  test("work is given a call that never aborts", async () => {
    const leaving = new AbortController();
    const call = makeCall(() => {}, leaving.signal);
    const aborted = await outlive(call, new SingleFlight<boolean>(), "k", "do it", async (own) => {
      leaving.abort();
      await Promise.resolve();
      return own.signal.aborted;
    }).catch((error: BerthError) => error.code);
    expect(aborted).toBe("CANCELLED");
  });
});

test("within gives up, and does not turn a late failure into an unhandled one", async () => {
  const late = new Promise((_, reject) => setTimeout(reject, 5, new Error("late")));
  await expect(within(1, "wait", late)).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
  await expect(within(1000, "wait", Promise.resolve(3))).resolves.toBe(3);
});

test("a subscriber that throws harms nobody else", () => {
  const hub = new EventHub<number>(silentLogger);
  const seen: number[] = [];
  hub.subscribe(() => {
    throw new Error("broken");
  });
  const end = hub.subscribe((event) => seen.push(event));
  hub.publish(1);
  end();
  hub.publish(2);
  expect(seen).toEqual([1]);
});

test("nearest", () => {
  expect(nearest("sokcet", ["root", "socket", "state"])).toBe("socket");
  expect(nearest("x", [])).toBe("");
});
