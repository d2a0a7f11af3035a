// The images and the registry that other tests stand on.

import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeBusyboxImage, makeNginxImage, makeProbeImage } from "../images/recipes.ts";
import { startRegistry, type TestRegistry } from "../images/registry.ts";

const folder = mkdtempSync("/tmp/berth-images-");
let registry: TestRegistry;

beforeAll(async () => {
  registry = await startRegistry();
});
afterAll(async () => {
  await registry.stop();
  rmSync(folder, { recursive: true });
});

test.each([
  ["probe", makeProbeImage],
  ["busybox", makeBusyboxImage],
  ["nginx", makeNginxImage],
])("%s: the registry has what was made", async (name, make) => {
  const image = await make();
  const reference = await registry.push(image, `test/${name}:1`);
  expect(reference).toBe(`${registry.host}/test/${name}:1`);
  const accept = "application/vnd.oci.image.manifest.v1+json";
  const answer = await fetch(`http://${registry.host}/v2/test/${name}/manifests/1`, { headers: { accept } });
  expect(answer.headers.get("docker-content-digest")).toBe(image.digest);
  expect(((await answer.json()) as { config: { digest: string } }).config.digest).toBe(image.id);
});

test("an image is made once", async () => {
  expect(await makeProbeImage()).toEqual(await makeProbeImage());
});

test("busybox unpacks to one file with many names, and runs", async () => {
  const image = await makeBusyboxImage();
  const bundle = join(folder, "busybox");
  execFileSync("umoci", ["unpack", "--image", `${image.layout}:${image.reference}`, bundle], {
    stdio: "pipe",
  });
  const root = join(bundle, "rootfs");
  const run = (command: string) =>
    execFileSync("chroot", [root, "/bin/sh", "-c", command], { encoding: "utf8" });
  expect(run("id -nu; ls / | grep -c mnt; stat -c %a /tmp")).toBe("root\n1\n1777\n");
  expect(run("[ /bin/ls -ef /bin/sh ] && echo same")).toBe("same\n");
  expect(run("pgrep no-such-program || echo none")).toBe("none\n");
  expect(readFileSync(join(root, "etc/passwd"), "utf8")).toContain("nobody:x:65534");
});

test("the registry leaves nothing behind", async () => {
  const other = await startRegistry();
  await other.stop();
  await expect(fetch(`http://${other.host}/v2/`)).rejects.toThrow();
  expect(existsSync(other.folder)).toBe(false);
});
