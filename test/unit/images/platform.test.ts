import { describe, expect, it } from "vitest";
import { checkPlatform, choosePlatform, platformOf } from "../../../src/images/platform.ts";
import { type Descriptor, type ImageIndex, mediaTypes } from "../../../src/types/oci-image.ts";

const V2 = "cx16 lahf_lm popcnt pni ssse3 sse4_1 sse4_2";
const V3 = `${V2} avx avx2 bmi1 bmi2 f16c fma abm movbe xsave`;
const cpu = (flags: string) => `processor\t: 0\nflags\t\t: fpu ${flags}\n`;
const names = (arch: string, text: string) =>
  platformOf(arch, text).machines.map(({ architecture, variant }) => `${architecture}/${variant}`);

describe("platformOf", () => {
  it.each([
    ["x64", "", ["amd64/v1", "386/"]],
    ["x64", cpu(V2), ["amd64/v2", "amd64/v1", "386/"]],
    ["x64", cpu(V3), ["amd64/v3", "amd64/v2", "amd64/v1", "386/"]],
    // Flags of level 3 without those of level 2 do not make it one.
    ["x64", cpu(V3.replace("popcnt ", "")), ["amd64/v1", "386/"]],
    ["arm64", "", ["arm64/v8", "arm/v8", "arm/v7", "arm/v6", "arm/v5"]],
    ["arm", "CPU architecture: 6\n", ["arm/v6", "arm/v5"]],
    ["arm", "CPU architecture: 7\n", ["arm/v7", "arm/v6", "arm/v5"]],
    ["riscv64", "", ["riscv64/"]],
  ])("knows what runs on %s", (arch, text, expected) => {
    expect(names(arch, text)).toEqual(expected);
  });
});

/** An index of "os/architecture/variant" names; the media type of each entry repeats its name. */
function indexOf(...platforms: string[]): ImageIndex {
  const manifests = platforms.map((name) => {
    const [os = "", architecture = "", variant] = name.split("/");
    return {
      mediaType: mediaTypes.ociManifest,
      digest: `sha256:${"0".repeat(64)}`,
      size: 1,
      annotations: { name },
      ...(name === ""
        ? {}
        : { platform: { os, architecture, ...(variant === undefined ? {} : { variant }) } }),
    };
  });
  return { schemaVersion: 2, manifests };
}

describe("choosePlatform", () => {
  const amd64 = platformOf("x64", cpu(V3));
  const arm = platformOf("arm", "CPU architecture: 7");
  const arm64 = platformOf("arm64", "");

  it.each([
    ["the plain one", amd64, ["linux/arm64", "linux/amd64"], "linux/amd64"],
    [
      "the highest level that runs",
      amd64,
      ["linux/amd64/v1", "linux/amd64/v3", "linux/amd64/v4"],
      "linux/amd64/v3",
    ],
    [
      "none above the machine's level",
      platformOf("x64", ""),
      ["linux/amd64/v2", "linux/amd64"],
      "linux/amd64",
    ],
    ["the first of equals", amd64, ["linux/amd64", "linux/amd64/v1"], "linux/amd64"],
    ["the kernel's name of it", amd64, ["linux/x86_64"], "linux/x86_64"],
    ["the best ARM", arm, ["linux/arm/v5", "linux/arm/v7", "linux/arm/v8", "linux/arm/v6"], "linux/arm/v7"],
    ["ARM without a variant as v7", arm, ["linux/arm/v6", "linux/arm"], "linux/arm"],
    ["64 bits before 32", arm64, ["linux/arm/v7", "linux/arm64/v8"], "linux/arm64/v8"],
    ["32 bits where nothing else is", arm64, ["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7"],
    ["the only one without a platform", amd64, ["", "unknown/unknown"], ""],
    ["Linux of several systems", amd64, ["windows/amd64", "linux/amd64"], "linux/amd64"],
  ])("takes %s", (_, here, offered, expected) => {
    expect(choosePlatform(indexOf(...offered), here, "x").annotations?.name).toBe(expected);
  });

  it("ignores os.version and os.features of Linux, and takes no attestation", () => {
    const index = indexOf("linux/amd64", "linux/amd64");
    const [first, second] = index.manifests as [Descriptor, Descriptor];
    first.annotations = { "vnd.docker.reference.type": "attestation-manifest" };
    Object.assign(second.platform ?? {}, { "os.version": "5.10", "os.features": ["x"], features: ["sse4"] });
    expect(choosePlatform(index, amd64, "x")).toBe(second);
  });

  describe("of artifacts", () => {
    const artifacts = (...names: string[]) => {
      const { manifests, ...index } = indexOf(...names);
      return { ...index, manifests: manifests.map((entry) => ({ ...entry, artifactType: "a/b" })) };
    };
    const nameOf = (index: ImageIndex) => choosePlatform(index, amd64, "x").annotations?.name;

    it.each([
      ["the only one", [""], ""],
      ["the one for this machine", ["", "linux/arm64", "linux/amd64"], "linux/amd64"],
      ["the one without a platform", ["linux/arm64", "", "wasip1/wasm"], ""],
    ])("takes %s", (_, offered, expected) => expect(nameOf(artifacts(...offered))).toBe(expected));

    it("takes none where there are images", () => {
      const index = indexOf("linux/arm64");
      const mixed = { ...index, manifests: [...index.manifests, ...artifacts("").manifests] };
      expect(() => nameOf(mixed)).toThrow("only for: linux/arm64");
      expect(nameOf({ ...mixed, manifests: [...indexOf("linux/amd64").manifests, ...mixed.manifests] })).toBe(
        "linux/amd64",
      );
    });

    it("takes none of several, and no attestation", () => {
      expect(() => nameOf(artifacts("", ""))).toThrow(/2 entries without a platform; .*\(a\/b\)/);
      expect(() => nameOf(artifacts("unknown/unknown"))).toThrow("only for: nothing");
    });
  });

  it("says what there is instead", () => {
    expect(() => choosePlatform(indexOf("linux/arm/v7", "unknown/unknown"), amd64, 'image "i"')).toThrow(
      'choose from image "i": it has no image for linux/amd64, only for: linux/arm/v7',
    );
  });
});

it("checkPlatform looks at system and architecture of the config, not at its variant", () => {
  const rootfs = { type: "layers" as const };
  const here = platformOf("arm64", "");
  for (const config of [{ rootfs }, { rootfs, os: "linux", architecture: "arm64", variant: "v9" }]) {
    expect(() => checkPlatform(config, here, "x")).not.toThrow();
  }
  expect(() => checkPlatform({ rootfs, os: "windows", architecture: "arm64" }, here, "x")).toThrow(
    "windows/arm64",
  );
  expect(() => checkPlatform({ rootfs, os: "linux", architecture: "amd64" }, here, "x")).toThrow(
    "linux/amd64",
  );
});
