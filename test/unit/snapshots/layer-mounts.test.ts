import { fstatSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FakeKernel } from "../../../src/kernel/fake.ts";
import { KernelError } from "../../../src/lib/errors.ts";
import { makePaths, type Paths } from "../../../src/paths.ts";
import { LayerMounts } from "../../../src/snapshots/layer-mounts.ts";

let root: string;
let paths: Paths;
let kernel: FakeKernel;
let mounts: LayerMounts;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "berth-layers-"));
  paths = makePaths(root, join(root, "run"), join(root, "sock"));
  kernel = new FakeKernel();
  mounts = new LayerMounts({ kernel, paths });
  mkdirSync(paths.layer(1), { recursive: true });
  for (const number of [2, 3]) writeFileSync(paths.layer(number), "image");
});
afterEach(async () => {
  await mounts.close();
  rmSync(root, { recursive: true, force: true });
});

const descriptorOf = (path: string) => Number(new RegExp(`^/proc/${process.pid}/fd/(\\d+)$`).exec(path)?.[1]);

function isOpen(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isFile();
  } catch {
    return false;
  }
}

test("directories are where they are, images are mounted once for all who ask", async () => {
  const [one, two] = await Promise.all([mounts.hold([1, 2, 3, 2]), mounts.hold([3, 2])]);
  expect([one.lower(1), one.path(1)]).toEqual(["l/1", paths.layer(1)]);
  expect(one.lower(2)).toMatch(/^\/proc\/\d+\/fd\/\d+$/);
  expect([one.path(2), two.lower(2), two.lower(3)]).toEqual([one.lower(2), one.lower(2), one.lower(3)]);
  expect(kernel.names()).toEqual(["mountLayer", "mountLayer"]);
  one.release();
  two.release();
  // Released is not closed: the next container has the same mount.
  expect((await mounts.hold([2])).lower(2)).toBe(one.lower(2));
  expect(kernel.names()).toHaveLength(2);
  expect(() => two.lower(1)).toThrow("not held");
});

test("a layer that is removed is closed, but not before whoever holds it lets go", async () => {
  const one = await mounts.hold([2]);
  const two = await mounts.hold([1, 2]);
  const descriptor = descriptorOf(one.lower(2));
  await mounts.forget(2);
  one.release();
  expect(isOpen(descriptor)).toBe(true);
  two.release();
  await expect.poll(() => isOpen(descriptor)).toBe(false);

  const three = await mounts.hold([3]);
  three.release();
  await mounts.forget(3);
  expect(isOpen(descriptorOf(three.lower(3)))).toBe(false);
  await mounts.forget(3);
  await mounts.forget(1);
  await mounts.forget(99);
});

test("a layer that is removed while it is being mounted is closed by whoever asked", async () => {
  const asked = mounts.hold([2]);
  await mounts.forget(2);
  const held = await asked;
  const descriptor = descriptorOf(held.lower(2));
  expect(isOpen(descriptor)).toBe(true);
  held.release();
  await expect.poll(() => isOpen(descriptor)).toBe(false);
});

test("close closes everything", async () => {
  const held = await mounts.hold([1, 2, 3]);
  held.release();
  await mounts.close();
  expect([2, 3].map((number) => isOpen(descriptorOf(held.lower(number))))).toEqual([false, false]);
});

test("what cannot be mounted is told, keeps nothing, and is tried again", async () => {
  await expect(mounts.hold([2, 7])).rejects.toMatchObject({
    code: "FAILED_PRECONDITION",
    message: expect.stringMatching(`"${paths.layer(7)}": it is missing on disk; run berth image verify`),
  });
  for (const [errno, code, text] of [
    ["ENOTBLK", "FAILED_PRECONDITION", "this kernel cannot mount images from files"],
    ["EBADMSG", "FAILED_PRECONDITION", "EBADMSG; run berth image verify"],
    ["EMFILE", "RESOURCE_EXHAUSTED", "EMFILE"],
  ] as const) {
    kernel.failures.set("mountLayer", new KernelError("mount layer", errno, paths.layer(3)));
    await expect(mounts.hold([2, 3])).rejects.toMatchObject({ code, message: expect.stringContaining(text) });
  }
  kernel.failures.clear();
  const held = await mounts.hold([2, 3]);
  expect(isOpen(descriptorOf(held.lower(3)))).toBe(true);
  held.release();
  // The failed ones let go of the other layer.
  await mounts.forget(2);
  expect(isOpen(descriptorOf(held.lower(2)))).toBe(false);
  expect(dirname(held.path(3))).toBe(`/proc/${process.pid}/fd`);
});
