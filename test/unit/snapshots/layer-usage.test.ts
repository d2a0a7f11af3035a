import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { silentLogger } from "../../../src/lib/call.ts";
import { makePaths } from "../../../src/paths.ts";
import { LayerUsage } from "../../../src/snapshots/layer-usage.ts";

const paths = makePaths("/r", "/s", "/sock");

function stage(treeUsage: (path: string) => Promise<{ bytes: number; inodes: number }>) {
  const walked: string[] = [];
  const kernel = {
    treeUsage: (path: string) => {
      walked.push(path);
      return treeUsage(path);
    },
  };
  return { walked, usage: new LayerUsage({ kernel, paths, log: silentLogger }) };
}

it("measures what the container wrote, once for all who ask", async () => {
  const { usage, walked } = stage(async () => ({ bytes: 4096, inodes: 2 }));
  const [all] = await Promise.all([usage.usage([1, 2]), usage.usage([1])]);
  expect(all[0]).toMatchObject({ bytes: 4096, inodes: 2, mountpoint: "/r/s" });
  expect(all[0]?.at).toBeGreaterThan(1e15);
  await usage.usage([1, 2]);
  expect(walked).toEqual(["/r/s/c/1/u", "/r/s/c/2/u"]);
});

it("waits for no walk that takes its time, and asks no second time meanwhile", async () => {
  let finish: (usage: { bytes: number; inodes: number }) => void = () => {};
  const { usage, walked } = stage(
    () =>
      new Promise((resolve) => {
        finish = resolve;
      }),
  );
  expect(await usage.usage([1])).toEqual([null]);
  expect(await usage.usage([1])).toEqual([null]);
  expect(walked).toHaveLength(1);
  finish({ bytes: 1, inodes: 1 });
  await sleep(0);
  expect((await usage.usage([1]))[0]).toMatchObject({ bytes: 1 });
});

it("has nothing to tell of a layer that is gone", async () => {
  const { usage } = stage(async () => {
    throw new Error("ENOENT");
  });
  expect(await usage.usage([1])).toEqual([null]);
});
