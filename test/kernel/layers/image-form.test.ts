// What is said of layers, once more for those that are EROFS images.

import { readFileSync } from "node:fs";
import { beforeEach, describe } from "vitest";
import { useForm } from "./fixture.ts";

useForm("erofs");

beforeEach((context) => {
  const known = readFileSync("/proc/filesystems", "utf8");
  context.skip(!known.includes("\terofs\n"), "this kernel has no EROFS");
});

describe("entries", async () => void (await import("./entries.test.ts")));
describe("trees", async () => void (await import("./trees.test.ts")));
describe("whiteouts", async () => void (await import("./whiteouts.test.ts")));
describe("hostile", async () => void (await import("./hostile.test.ts")));
describe("streams", async () => void (await import("./streams.test.ts")));
describe("blob file", async () => void (await import("./blob-file.test.ts")));
