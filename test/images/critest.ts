// The images that the CRI validation suite asks for, under the repository paths it asks for. A daemon whose
// configuration mirrors registry.k8s.io, k8s.gcr.io and gcr.io to the test registry finds all of them there.

import { join } from "node:path";
import { type ImageRecipe, type MadeImage, makeImage } from "./layout.ts";
import { busyboxRecipe, nginxRecipe } from "./recipes.ts";
import type { TestRegistry } from "./registry.ts";
import { Tree } from "./tree.ts";

const E2E = "e2e-test-images";
const TOOLS = "k8s-staging-cri-tools";

/** Without a name of its own an image takes the first target's. */
function busybox(
  targets: readonly string[],
  options: { config?: Record<string, unknown>; passwd?: string[]; group?: string[] } = {},
): { recipe: ImageRecipe; targets: readonly string[] } {
  const name = (targets[0] ?? "").replace(/[/:]/g, "-");
  const recipe = busyboxRecipe({ name, reference: `berth.test/${name}:latest`, marker: name, ...options });
  return { recipe, targets };
}

function nginx(target: string, port: number): { recipe: ImageRecipe; targets: readonly string[] } {
  const name = target.replace(/[/:]/g, "-");
  return { recipe: nginxRecipe({ name, reference: `berth.test/${name}:latest`, port }), targets: [target] };
}

/** A set-user-ID program as default command. */
function noNewPrivileges(target: string): { recipe: ImageRecipe; targets: readonly string[] } {
  const probe = join(import.meta.dirname, "../../out/native/Release/probe");
  const tree = new Tree()
    .copy(probe, "probe", 0o6755)
    .file("etc/passwd", "root:x:0:0::/:\nuser:x:1000:1000::/:\n")
    .file("etc/group", "root:x:0:\n");
  const config = { Cmd: ["/probe", "effective-uid"], WorkingDir: "/" };
  return {
    recipe: { name: "nonewprivs", reference: "berth.test/nonewprivs:latest", layers: [tree], config },
    targets: [target],
  };
}

/** The suite wants a 200 on "/" and the word httpd in the log. */
const httpd = "echo httpd; mkdir /www; echo it works > /www/index.html; exec httpd -f -p 80 -h /www";
const architecture = process.arch === "x64" ? "amd64" : process.arch;

function recipes() {
  const user = (name: string, User: string) =>
    busybox([`${TOOLS}/test-image-user-${name}:latest`], { config: { User } });
  return [
    busybox([`${E2E}/busybox:1.29-2`]),
    busybox([`${E2E}/httpd:2.4.39-4`], { config: { Cmd: ["sh", "-c", httpd] } }),
    nginx(`${E2E}/nginx:1.14-2`, 80),
    nginx(`${TOOLS}/hostnet-nginx-${architecture}:latest`, 12003),
    noNewPrivileges(`${E2E}/nonewprivs:1.3`),
    busybox(["pause:3.9"], { config: { Cmd: ["sleep", "infinity"] } }),
    busybox([`${TOOLS}/test-image-tag:test`]),
    busybox([`${TOOLS}/test-image-tag:all`]),
    busybox([`${TOOLS}/test-image-latest:latest`]),
    busybox([`${TOOLS}/test-image-1:latest`]),
    busybox([`${TOOLS}/test-image-2:latest`]),
    busybox([`${TOOLS}/test-image-3:latest`]),
    busybox([1, 2, 3].map((tag) => `${TOOLS}/test-image-tags:${tag}`)),
    user("uid", "1002"),
    user("username", "www-data"),
    user("uid-group", "1003:1004"),
    user("username-group", "www-data:1004"),
    busybox([`${TOOLS}/test-image-predefined-group:latest`], {
      config: { User: "1000" },
      passwd: ["default-user:x:1000:1000::/home:/bin/sh"],
      group: ["default-user:x:1000:", "group-defined-in-image:x:50000:default-user"],
    }),
  ];
}

/** Makes and pushes all but the one that the suite names by a digest: only its maker has those bytes. */
export async function pushCritestImages(
  registry: TestRegistry,
): Promise<{ image: MadeImage; targets: string[] }[]> {
  const pushed: { image: MadeImage; targets: string[] }[] = [];
  for (const { recipe, targets } of recipes()) {
    const image = await makeImage(recipe);
    for (const target of targets) await registry.push(image, target);
    pushed.push({ image, targets: [...targets] });
  }
  return pushed;
}
