// What the image specification says must be accepted and what must not.

import type { TSchema } from "typebox";
import { Compile } from "typebox/compile";
import { describe, expect, it } from "vitest";
import {
  descriptorSchema,
  imageConfigSchema,
  imageLayoutSchema,
  indexSchema,
  manifestSchema,
  mediaTypes,
} from "../../../src/types/oci-image.ts";

const hex = "5b0bcabd1ed22e9fb1310cf6c2dec7cdef19f0ad69efa1f392e94a4333501270";
const sha256 = `sha256:${hex}`;
const descriptor = { mediaType: mediaTypes.ociManifest, digest: sha256, size: 7682 };
const manifest = {
  schemaVersion: 2,
  config: { ...descriptor, mediaType: mediaTypes.ociConfig },
  layers: [{ ...descriptor, mediaType: `${mediaTypes.ociLayer}+gzip` }],
};
const index = { schemaVersion: 2, manifests: [descriptor] };
const config = { architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: [sha256] } };

type Vector = readonly [why: string, change: object];

function check(schema: TSchema, base: object, good: readonly Vector[], bad: readonly Vector[]): void {
  const validator = Compile(schema);
  it.each(good)("accepts %s", (_, change) => {
    expect([...validator.Errors({ ...base, ...change })]).toEqual([]);
  });
  it.each(bad)("refuses %s", (_, change) => {
    expect(validator.Check({ ...base, ...change })).toBe(false);
  });
}

describe("a descriptor (descriptor.md)", () => {
  check(
    descriptorSchema,
    descriptor,
    [
      ["the three required members", {}],
      ["an empty blob", { size: 0 }],
      ["a size above 32 bits", { size: 2 ** 40 }],
      ["sha512", { digest: `sha512:${"a".repeat(128)}` }],
      [
        "an algorithm that is not registered",
        { digest: "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9K" },
      ],
      ["a digest with separators", { digest: "sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564" }],
      ["urls and annotations", { urls: ["https://x.test/foo"], annotations: { "com.test.a": "" } }],
      ["embedded data", { data: "e30=" }],
      ["an artifact type", { artifactType: "application/vnd.test.sbom+json" }],
      ["members that nobody knows", { whatever: { deep: [1] } }],
      ["null for what is optional", { urls: null, annotations: null, platform: null }],
      ["a platform", { platform: { architecture: "arm", os: "linux", variant: "v7" } }],
      [
        "a Windows platform",
        { platform: { architecture: "amd64", os: "windows", "os.version": "10.0.14393.1066" } },
      ],
      ["os.features", { platform: { architecture: "amd64", os: "windows", "os.features": ["win32k"] } }],
    ],
    [
      ["no media type", { mediaType: undefined }],
      ["a media type without a subtype", { mediaType: "application" }],
      ["a media type with parameters", { mediaType: "application/json; charset=utf-8" }],
      ["no digest", { digest: undefined }],
      ["a digest without an algorithm", { digest: hex }],
      ["an upper-case algorithm", { digest: `SHA256:${hex}` }],
      ["upper-case hexadecimal digits", { digest: `sha256:${hex.toUpperCase()}` }],
      ["a short sha256", { digest: `sha256:${hex.slice(1)}` }],
      ["a long sha256", { digest: `${sha256}0` }],
      ["a sha512 of the length of a sha256", { digest: `sha512:${hex}` }],
      ["a digest with a path in it", { digest: "sha257:../../etc/passwd" }],
      ["a digest with a line break", { digest: `${sha256}\n` }],
      ["no size", { size: undefined }],
      ["a negative size", { size: -1 }],
      ["a broken size", { size: 1.5 }],
      ["a size as text", { size: "7682" }],
      ["a size that a double cannot hold", { size: 2 ** 60 }],
      ["urls that are no list", { urls: "https://x.test" }],
      ["an annotation that is no text", { annotations: { a: 1 } }],
      ["data that is not base64", { data: "{}" }],
      ["a platform without os", { platform: { architecture: "amd64" } }],
      ["a platform without architecture", { platform: { os: "linux" } }],
    ],
  );
});

describe("a manifest (manifest.md)", () => {
  check(
    manifestSchema,
    manifest,
    [
      ["the required members", {}],
      ["its own media type", { mediaType: mediaTypes.ociManifest }],
      ["an image without layers", { layers: [] }],
      ["a subject", { subject: descriptor }],
      [
        "an artifact",
        { artifactType: "application/vnd.test.a", config: { ...descriptor, mediaType: mediaTypes.ociEmpty } },
      ],
    ],
    [
      ["schema version 1", { schemaVersion: 1 }],
      ["no schema version", { schemaVersion: undefined }],
      ["a schema version as text", { schemaVersion: "2" }],
      ["no config", { config: undefined }],
      ["no layers", { layers: undefined }],
      ["layers that are no list", { layers: {} }],
      ["a layer that is no descriptor", { layers: [sha256] }],
      ["a subject without a digest", { subject: { ...descriptor, digest: undefined } }],
    ],
  );
});

describe("an index (image-index.md)", () => {
  check(
    indexSchema,
    index,
    [
      ["the required members", {}],
      ["an empty list", { manifests: [] }],
      ["an index in an index", { manifests: [{ ...descriptor, mediaType: mediaTypes.ociIndex }] }],
      [
        "types that are not the specification's",
        { manifests: [{ ...descriptor, mediaType: "application/xml" }] },
      ],
      [
        "a type of artifact, a subject, annotations",
        { artifactType: "a/b", subject: descriptor, annotations: {} },
      ],
    ],
    [
      ["schema version 3", { schemaVersion: 3 }],
      ["no manifests", { manifests: undefined }],
      ["manifests that are null", { manifests: null }],
      ["an entry without a size", { manifests: [{ ...descriptor, size: undefined }] }],
    ],
  );
});

describe("a config (config.md)", () => {
  const run = {
    User: "alice",
    ExposedPorts: { "8080/tcp": {} },
    Env: ["PATH=/bin", "FOO=oci_is_a"],
    Entrypoint: ["/bin/my-app-binary"],
    Cmd: ["--foreground", "--config"],
    Volumes: { "/var/job-result-data": {} },
    WorkingDir: "/home/alice",
    Labels: { "com.test.project.git.url": "https://x.test/project.git" },
    StopSignal: "SIGKILL",
  };
  check(
    imageConfigSchema,
    config,
    [
      ["the required members", {}],
      ["everything that a container takes from it", { config: run }],
      [
        "null wherever something may be missing",
        { config: { Cmd: null, Env: null, Volumes: null, Labels: null } },
      ],
      ["a config that is null", { config: null }],
      [
        "history",
        { created: "2015-10-31T22:22:56Z", history: [{ created_by: "/bin/sh", empty_layer: true }] },
      ],
      ["no layers", { rootfs: { type: "layers" } }],
      ["no platform, as some builders write", { architecture: undefined, os: undefined }],
      [
        "docker's own members",
        { config: { Healthcheck: { Test: ["NONE"] }, OnBuild: null }, container: hex },
      ],
    ],
    [
      ["no rootfs", { rootfs: undefined }],
      ["another type of rootfs", { rootfs: { type: "squashfs", diff_ids: [] } }],
      ["a diff ID that is no digest", { rootfs: { type: "layers", diff_ids: ["latest"] } }],
      ["an environment that is no list", { config: { Env: { PATH: "/bin" } } }],
      ["a NUL in the command", { config: { Cmd: ["a\0b"] } }],
      ["a user that is a number", { config: { User: 1000 } }],
      ["an architecture that is no text", { architecture: 64 }],
      ["history that is no list", { history: {} }],
    ],
  );
});

describe("the file oci-layout (image-layout.md)", () => {
  check(
    imageLayoutSchema,
    { imageLayoutVersion: "1.0.0" },
    [["version 1.0.0", {}]],
    [
      ["no version", { imageLayoutVersion: undefined }],
      ["a version that does not exist", { imageLayoutVersion: "2.0.0" }],
    ],
  );
});
