// Builds the crictl that the end-to-end tests drive the daemon with, at the version that
// test/crictl/go.mod pins: out/tools/crictl. Does nothing while the pin has not changed.

import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { findGo } from "./lib/go.mjs";
import { projectRoot, run } from "./lib/run.mjs";
import { hashFiles, isCurrent, markCurrent } from "./lib/stamp.mjs";

const module = join(projectRoot, "test/crictl");
const target = join(projectRoot, "out/tools/crictl");
const PACKAGE = "sigs.k8s.io/cri-tools";

/** Returns the path of the binary. Throws when there is no Go that can build it. */
export async function buildCrictl() {
  const hash = hashFiles([join(module, "go.mod"), join(module, "go.sum")]);
  if (existsSync(target) && isCurrent("crictl", hash)) return target;
  mkdirSync(join(projectRoot, "out/tools"), { recursive: true });
  const go = await findGo(join(module, "go.mod"));
  const version = (
    await run(go, ["list", "-m", "-f", "{{.Version}}", PACKAGE], { cwd: module, quiet: true })
  ).stdout.trim();
  const flags = [
    "-trimpath",
    "-buildvcs=false",
    "-ldflags",
    `-s -w -X ${PACKAGE}/pkg/version.Version=${version}`,
  ];
  await run(go, ["build", ...flags, "-o", target, `${PACKAGE}/cmd/crictl`], {
    cwd: module,
    env: { CGO_ENABLED: "0" },
  });
  markCurrent("crictl", hash);
  return target;
}

if (process.argv[1] === import.meta.filename || process.argv[1]?.endsWith("/build-crictl.mjs")) {
  console.log(await buildCrictl());
}
