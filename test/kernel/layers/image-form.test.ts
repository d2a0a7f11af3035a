// What is said of layers, once more for those that are EROFS images.

import { describe } from "vitest";
import { useImages } from "./fixture.ts";

useImages();

describe("entries", async () => void (await import("./entries.test.ts")));
describe("trees", async () => void (await import("./trees.test.ts")));
describe("whiteouts", async () => void (await import("./whiteouts.test.ts")));
describe("hostile", async () => void (await import("./hostile.test.ts")));
describe("streams", async () => void (await import("./streams.test.ts")));
describe("blob file", async () => void (await import("./blob-file.test.ts")));
