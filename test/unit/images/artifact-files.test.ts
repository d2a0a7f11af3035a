import { describe, expect, it } from "vitest";
import { artifactTypeOf, filesOfArtifact } from "../../../src/images/artifact-files.ts";
import {
  annotationKeys,
  type Descriptor,
  type ImageManifest,
  mediaTypes,
} from "../../../src/types/oci-image.ts";

const hexOf = (n: number) => n.toString(16).padStart(64, "0");

function blob(n: number, title?: string, annotations: Record<string, string> = {}): Descriptor {
  const titled = title === undefined ? annotations : { ...annotations, [annotationKeys.title]: title };
  return { mediaType: "a/b", digest: `sha256:${hexOf(n)}`, size: n, annotations: titled };
}

function manifestOf(layers: Descriptor[], changes: Partial<ImageManifest> = {}): ImageManifest {
  const config = { ...blob(0), mediaType: mediaTypes.ociEmpty };
  return { schemaVersion: 2, config, layers, ...changes };
}

const namesOf = (...layers: Descriptor[]) =>
  filesOfArtifact(manifestOf(layers), "image").map(({ file }) => file?.name);
const mtimeOf = (created: string) =>
  filesOfArtifact(manifestOf([blob(1, "x", { [annotationKeys.created]: created })]), "image")[0]?.file?.mtime;

describe("a title becomes a name", () => {
  it.each([
    ["model.bin", "model.bin"],
    ["a/b/c", "a/b/c"],
    ["./a", "a"],
    [" ", " "],
    ["-rf", "-rf"],
    ["...", "..."],
    ["a\\b", "a\\b"],
    ["späß/模型🧠", "späß/模型🧠"],
    [".wh", ".wh"],
    ["x".repeat(255), "x".repeat(255)],
    ["sha256:1", "sha256:1"],
  ])("%j", (title, name) => expect(namesOf(blob(1, title))).toEqual([name]));

  it("without one, or with an empty one, the digest's", () => {
    expect(namesOf(blob(1), blob(2, ""))).toEqual([`sha256-${hexOf(1)}`, `sha256-${hexOf(2)}`]);
    expect(namesOf({ ...blob(1), annotations: null })).toEqual([`sha256-${hexOf(1)}`]);
  });
});

describe("a title is refused", () => {
  it.each([
    ["/etc/passwd", "it is absolute"],
    ["..", '".." is no name'],
    ["../x", '".." is no name'],
    ["a/../../x", '".." is no name'],
    ["a/..", '".." is no name'],
    ["a/./b", '"." is no name'],
    ["a//b", '"" is no name'],
    ["a/", '"" is no name'],
    [".", "it names no file"],
    ["./", '"" is no name'],
    ["./.", '"." is no name'],
    ["a\0b", "control characters"],
    ["a\nb", "control characters"],
    ["\u001b[31m", "control characters"],
    ["\ud800", "control characters"],
    ["x".repeat(256), "longer than 255 bytes"],
    ["模".repeat(86), "longer than 255 bytes"],
    [`${"a/".repeat(600)}b`, "longer than 1024 bytes"],
    [".wh.x", "mean removals"],
    ["a/.wh..wh..opq", "mean removals"],
    [".wh.dir/file", "mean removals"],
  ])("%j", (title, why) => {
    let message = "";
    try {
      namesOf(blob(7, title));
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toContain(why);
    expect(message).toContain(`blob "sha256:${hexOf(7)}"`);
    expect(/[\u0000-\u001f\ud800]/.test(message)).toBe(false);
    expect(message.length).toBeLessThan(1500);
  });

  it.each([
    ["that another blob has", [blob(1, "a"), blob(2, "a")], "has the same"],
    ["that is another's when cleaned", [blob(1, "a"), blob(2, "./a")], "has the same"],
    ["that is another blob's digest", [blob(1), blob(2, `sha256-${hexOf(1)}`)], "has the same"],
    ["below another's file", [blob(1, "a/b/c"), blob(2, "a/b")], "below the file of blob"],
    ["above another's file", [blob(1, "a"), blob(2, "a/b/c")], "below the file of blob"],
  ])("%s", (_, layers, why) => expect(() => namesOf(...layers)).toThrow(why));
});

it("the same blob under the same title is the same file", () => {
  const [one, two, other] = filesOfArtifact(manifestOf([blob(1, "a"), blob(1, "a"), blob(1, "b")]), "image");
  expect(two).toBe(one);
  expect(other?.diffId).not.toBe(one?.diffId);
});

it("what stands for the diff ID is the same for the same content, name and time, and no other", () => {
  const ids = [
    blob(1, "a"),
    blob(1, "./a"),
    blob(1, "a", { unrelated: "x" }),
    blob(2, "a"),
    blob(1, "ab"),
    blob(1, "a", { [annotationKeys.created]: "2024-01-01T00:00:00Z" }),
  ].map((one) => filesOfArtifact(manifestOf([one]), "image")[0]?.diffId);
  expect(new Set(ids.slice(0, 3)).size).toBe(1);
  expect(new Set(ids).size).toBe(4);
});

it.each([
  ["2024-05-06T07:08:09Z", 1_714_979_289],
  ["2024-05-06T09:08:09.999+02:00", 1_714_979_289],
  ["1970-01-01T00:00:00Z", 0],
  ["1969-12-31T23:59:59Z", 0],
  ["9999-12-31T23:59:59Z", 0],
  ["yesterday", 0],
  ["2024-13-45T99:99:99Z", 0],
  ["1714979289", 0],
  ["", 0],
])("the date %j is %i", (created, seconds) => expect(mtimeOf(created)).toBe(seconds));

it.each([
  ["its artifactType", { artifactType: "application/vnd.x" }, "application/vnd.x"],
  [
    "its artifactType beside an image's config",
    { artifactType: "a/b", config: { ...blob(0), mediaType: mediaTypes.ociConfig } },
    "a/b",
  ],
  ["its config's type", {}, mediaTypes.ociEmpty],
  ["its config's type when the other is null", { artifactType: null }, mediaTypes.ociEmpty],
  ["none of an image", { config: { ...blob(0), mediaType: mediaTypes.ociConfig } }, ""],
  ["none of Docker's image", { config: { ...blob(0), mediaType: mediaTypes.dockerConfig } }, ""],
])("the type is %s", (_, changes, type) => expect(artifactTypeOf(manifestOf([], changes))).toBe(type));
