import { expect, it } from "vitest";
import { SharedFlight } from "../../../src/lib/single-flight.ts";

const never = new AbortController().signal;

it("shares one run, and runs again afterwards", async () => {
  const flights = new SharedFlight<number>();
  let runs = 0;
  const work = async () => ++runs;
  expect(await Promise.all([flights.join("a", never, work), flights.join("a", never, work)])).toEqual([1, 1]);
  expect(await flights.join("a", never, work)).toBe(2);
  expect(flights.has("a")).toBe(false);
});

it("shares a failure too", async () => {
  const flights = new SharedFlight<number>();
  const work = async () => Promise.reject(new Error("no"));
  const results = await Promise.allSettled([flights.join("a", never, work), flights.join("a", never, work)]);
  expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(flights.has("a")).toBe(false);
});

it("lets the last caller wait until the work has stopped", async () => {
  const flights = new SharedFlight<number>();
  const order: string[] = [];
  const controller = new AbortController();
  const first = flights.join("a", controller.signal, async (signal) => {
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    await Promise.resolve();
    order.push("stopped");
    throw signal.reason;
  });
  controller.abort(new Error("gone"));
  // One that is being stopped takes nobody on board.
  const second = flights.join("a", never, async () => 2);
  await expect(first).rejects.toThrow("gone");
  order.push("told");
  expect(order).toEqual(["stopped", "told"]);
  expect(await second).toBe(2);
});

it("does not begin for a caller that is gone", async () => {
  const flights = new SharedFlight<number>();
  const gone = AbortSignal.abort(new Error("gone"));
  await expect(flights.join("a", gone, async () => 1)).rejects.toThrow("gone");
  expect(flights.has("a")).toBe(false);
});
