// Builds the CNI plugins that the network tests run, at the versions that test/cni pins: out/tools/cni. Does
// nothing while the pins have not changed.

import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { findGo } from "./lib/go.mjs";
import { projectRoot, run } from "./lib/run.mjs";
import { hashFiles, isCurrent, markCurrent } from "./lib/stamp.mjs";

const PLUGINS = "github.com/containernetworking/plugins/plugins";
const target = join(projectRoot, "out/tools/cni");
const modules = [
  {
    folder: join(projectRoot, "test/cni"),
    names: ["main/bridge", "ipam/host-local", "meta/portmap", "meta/bandwidth"],
  },
  { folder: join(projectRoot, "test/cni/flannel"), names: ["meta/flannel"] },
];

/** Returns the directory of the plugins. Throws when there is no Go that can build them. */
export async function buildCniPlugins() {
  const pins = modules.flatMap(({ folder }) => [join(folder, "go.mod"), join(folder, "go.sum")]);
  const hash = hashFiles(pins);
  if (existsSync(target) && isCurrent("cni-plugins", hash)) return target;
  mkdirSync(target, { recursive: true });
  for (const { folder, names } of modules) {
    const go = await findGo(join(folder, "go.mod"));
    const packages = names.map((name) => `${PLUGINS}/${name}`);
    const flags = ["-trimpath", "-buildvcs=false", "-ldflags", "-s -w"];
    await run(go, ["build", ...flags, "-o", `${target}/`, ...packages], {
      cwd: folder,
      env: { CGO_ENABLED: "0" },
    });
  }
  markCurrent("cni-plugins", hash);
  return target;
}

if (process.argv[1]?.endsWith("/build-cni-plugins.mjs")) console.log(await buildCniPlugins());
