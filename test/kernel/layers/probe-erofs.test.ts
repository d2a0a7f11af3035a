// Whether this host can make roots of layers that are images: what is tried, and what each part would find.

import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { translated } from "../../../src/kernel/layer-errors.ts";
import { probeErofs } from "../../../src/kernel/probe-erofs.ts";
import { inPrivateMounts, layerMounts, useScratch } from "./fixture.ts";
import { kernel, LIMITS, native } from "./kernel-only.ts";
import { makeTar, type TarEntrySpec } from "./tar-builder.ts";

const scratch = useScratch();

const state = (directory: string) => [
  readdirSync(directory),
  layerMounts(),
  readdirSync("/proc/self/fd").length,
];

/** What is found when `change` was done to what is tried. Nothing is left of it, whatever it was. */
async function finds(change: (probe: string) => unknown): Promise<string> {
  const directory = scratch.fresh();
  const before = state(directory);
  const tryIn = async (probe: string) => {
    await change(probe);
    await translated(native.probeErofs(probe));
  };
  try {
    return await probeErofs(kernel, tryIn, directory);
  } finally {
    expect(state(directory)).toEqual(before);
  }
}

test("this host can do all of it, and nothing is left", async () => {
  const directory = scratch.fresh();
  const before = state(directory);
  expect(await kernel.probeErofs(directory)).toBe("");
  expect(state(directory)).toEqual(before);
});

test("where it cannot be tried nobody knows", async () => {
  const missing = join(scratch.fresh(), "missing");
  await expect(kernel.probeErofs(missing)).rejects.toThrow(/write an image: .*ENOENT/);
});

const capability = Buffer.from("0000000200040000".padEnd(40, "0"), "hex");
const user = { "SCHILY.xattr.user.probe": "y" };
const security = { "SCHILY.xattr.security.capability": capability };
const file: TarEntrySpec = { path: "probe", data: "berth\n", pax: { ...user, ...security } };
const opaque: TarEntrySpec = { path: "opaque/.wh..wh..opq" };

// A kernel that does not show a thing looks like an image that does not have it.
test.each<[string, TarEntrySpec[], string]>([
  ["all", [file, opaque], ""],
  ["no file", [opaque], 'overlay: open "probe": ENOENT'],
  ["another owner", [{ ...file, uid: 1 }, opaque], 'overlay: owner "probe": ERANGE'],
  ["another content", [{ ...file, data: "Berth\n" }, opaque], 'overlay: content "probe": EILSEQ'],
  [
    "no attributes",
    [{ path: "probe", data: "berth\n" }, opaque],
    'overlay: attribute (CONFIG_EROFS_FS_XATTR) "user.probe": ENODATA',
  ],
  [
    "no attribute of security",
    [{ ...file, pax: user }, opaque],
    'overlay: attribute (CONFIG_EROFS_FS_SECURITY) "security.capability": ENODATA',
  ],
  [
    "a directory that is not opaque",
    [file, { path: "opaque", type: "5" }],
    'overlay: trusted.overlay.opaque (CONFIG_EROFS_FS_XATTR) "opaque/hidden": EEXIST',
  ],
])("an image with %s", async (_name, entries, found) => {
  const replaceImage = async (probe: string) => {
    rmSync(join(probe, "image"));
    const image = kernel.unpackLayer(join(probe, "image"), LIMITS, {}, undefined, "erofs");
    await image.write(makeTar(entries));
    await image.finish();
  };
  expect(await finds(replaceImage)).toBe(found);
});

test.each([["image"], ["lower"], ["bare"]])(
  "a failure in the middle is told, and nothing is left: no %s",
  async (name) => {
    expect(await finds((probe) => rmSync(join(probe, name), { recursive: true }))).toMatch(/ENOENT$/);
  },
);

// As if images were counted: what is below is on an overlay, so that the one in a container is the third.
test.each<[string[], string[]]>([
  [["lower"], ["overlay in a container, on its root", "EINVAL"]],
  [["lower", "bare"], []],
])("an overlay on the overlay, with %o on an overlay themselves", (names, found) => {
  const script = `
    mkdir -p "$1/a/lower/opaque" "$1/b/bare/top" "$1/b/bare/bottom" "$1/merged" "$1/probe"
    touch "$1/a/lower/opaque/hidden"
    mount -t overlay overlay -o "lowerdir=$1/a:$1/b" "$1/merged"
    exec "$2" --input-type=module -e '
      import { rmSync, symlinkSync } from "node:fs";
      const [, directory, , onlyKernel, onlyProbe, ...names] = process.argv;
      const { kernel, native } = await import(onlyKernel);
      const { probeErofs } = await import(onlyProbe);
      await probeErofs(kernel, async (probe) => {
        for (const name of names) {
          rmSync(probe + "/" + name, { recursive: true });
          symlinkSync(directory + "/merged/" + name, probe + "/" + name);
        }
        const found = await native.probeErofs(probe).then(() => [], ({ step, errno }) => [step, errno]);
        console.log(JSON.stringify(found));
      }, directory + "/probe");
    ' "$@"`;
  const directory = scratch.fresh();
  const modules = ["kernel-only.ts", "../../../src/kernel/probe-erofs.ts"].map((name) =>
    join(import.meta.dirname, name),
  );
  const printed = inPrivateMounts(script, directory, process.execPath, ...modules, ...names);
  expect(JSON.parse(printed)).toEqual(found);
  expect(readdirSync(join(directory, "probe"))).toEqual([]);
});
