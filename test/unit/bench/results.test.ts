// What the benchmarks compute and write.

import { expect, test } from "vitest";
import { replaceSection } from "../../../bench/run/results-file.ts";
import { Samples } from "../../../bench/run/samples.ts";

test("a section is replaced as a whole, and the others stay", () => {
  const first = replaceSection("# Head\n", "start", "old\nlines");
  const both = replaceSection(first, "pull", "other");
  const again = replaceSection(both, "start", "new $& text");
  expect(again).toBe(
    "# Head\n\n<!-- section: start -->\nnew $& text\n<!-- end: start -->\n\n" +
      "<!-- section: pull -->\nother\n<!-- end: pull -->\n",
  );
});

test("medians and quantiles are those of the sorted values", () => {
  const samples = new Samples();
  for (const value of [40, 10, 30, 20]) samples.add("berth", "exec", value);
  expect(samples.median("berth", "exec")).toBe(25);
  expect(samples.quantile("berth", "exec", 0.95)).toBe(40);
  expect(samples.quantile("berth", "exec", 0.5)).toBe(20);
  expect(samples.median("crun", "exec")).toBeUndefined();
});

test("a step that fails adds no sample", async () => {
  const samples = new Samples();
  await expect(samples.time("berth", "exec", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(samples.median("berth", "exec")).toBeUndefined();
});
