import { expect, it } from "vitest";
import { Slots } from "../../../src/lib/slots.ts";

const patient = new AbortController().signal;

it("lets so many run, and the others in turn", async () => {
  const slots = new Slots(2);
  const log: string[] = [];
  const ends: (() => void)[] = [];
  const work = (name: string) =>
    slots.run(async () => {
      log.push(name);
      await new Promise<void>((resolve) => ends.push(resolve));
      return name;
    }, patient);
  const all = ["a", "b", "c", "d"].map(work);
  await Promise.resolve();
  expect(log).toEqual(["a", "b"]);
  ends[0]?.();
  expect(await all[0]).toBe("a");
  await expect.poll(() => log).toEqual(["a", "b", "c"]);
  for (let index = 1; index < 4; index++) {
    ends[index]?.();
    await all[index];
  }
  expect(log).toEqual(["a", "b", "c", "d"]);
});

it("gives the slot on when work fails, and to nobody who left", async () => {
  const slots = new Slots(1);
  const failing = slots.run(() => Promise.reject(new Error("no")), patient);
  const leaving = new AbortController();
  const left = slots.run(async () => "never", leaving.signal);
  leaving.abort();
  const last = slots.run(async () => "fine", patient);
  await expect(failing).rejects.toThrow("no");
  await expect(left).rejects.toMatchObject({ code: "CANCELLED" });
  expect(await last).toBe("fine");
});
