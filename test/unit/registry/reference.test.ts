import { describe, expect, it } from "vitest";
import { formatReference, parseReference } from "../../../src/registry/reference.ts";

const hex = "a".repeat(64);
const long = "a".repeat(128);

describe("parseReference", () => {
  it.each([
    ["busybox", "docker.io/library/busybox:latest"],
    ["busybox:1.36", "docker.io/library/busybox:1.36"],
    ["docker.io/busybox", "docker.io/library/busybox:latest"],
    ["index.docker.io/busybox", "docker.io/library/busybox:latest"],
    ["library/busybox", "docker.io/library/busybox:latest"],
    ["user/app:v1", "docker.io/user/app:v1"],
    ["registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9"],
    ["localhost/x", "localhost/x:latest"],
    ["localhost:5000/x/y:t", "localhost:5000/x/y:t"],
    ["HOST/x", "HOST/x:latest"],
    ["127.0.0.1:5000/x", "127.0.0.1:5000/x:latest"],
    ["[::1]:5000/x:1", "[::1]:5000/x:1"],
    ["a/b/c/d/e", "docker.io/a/b/c/d/e:latest"],
    ["x.y/a--b/c_d/e__f/g.h", "x.y/a--b/c_d/e__f/g.h:latest"],
    [`busybox@sha256:${hex}`, `docker.io/library/busybox@sha256:${hex}`],
    [`busybox:1@sha256:${hex}`, `docker.io/library/busybox@sha256:${hex}`],
    [`x.y:1/z@sha512:${long}`, `x.y:1/z@sha512:${long}`],
    [`busybox:${long}`, `docker.io/library/busybox:${long}`],
    [`x.y/${"a".repeat(251)}`, `x.y/${"a".repeat(251)}:latest`],
  ])("reads %s", (text, expected) => {
    expect(formatReference(parseReference(text))).toBe(expected);
  });

  it("leaves out the tag beside a digest", () => {
    expect(parseReference(`busybox:1@sha256:${hex}`).tag).toBeUndefined();
  });

  it.each([
    ["", "empty"],
    ["Busybox", "lower case"],
    ["a//b", "empty"],
    ["/a", "empty"],
    ["a/", "empty"],
    ["a:", "tag"],
    ["a:.x", "tag"],
    [`a:${long}b`, "tag"],
    ["a___b", "not a part"],
    ["a..b/c", "host"],
    ["-a", "not a part"],
    ["a-", "not a part"],
    ["a b", "not a part"],
    ["a\u0000b", "not a part"],
    ["a\nb", "not a part"],
    ["ä", "not a part"],
    [hex, "image id"],
    [`sha256:${hex}`, "image id"],
    ["http://x.y/z", "host"],
    ["x.y:port/z", "host"],
    ["-x.y/z", "host"],
    ["user@x.y/z", "digest"],
    ["a@sha256:abc", "digest"],
    [`a@sha256:${hex.toUpperCase()}`, "digest"],
    [`a@md5:${"a".repeat(32)}`, "digest"],
    [`a@sha256:${hex}@sha256:${hex}`, "digest"],
    [`x.y/${"a".repeat(252)}`, "longer than 255"],
    ["a".repeat(100_000), "longer"],
    [`${"a-".repeat(250)}`, ""],
  ])("refuses %j", (text, why) => {
    expect(() => parseReference(text)).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT", message: expect.stringContaining(why) }),
    );
  });
});
