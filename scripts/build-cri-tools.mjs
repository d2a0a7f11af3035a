// Builds what the end-to-end tests drive the daemon with, at the versions that test/cri-tools/go.mod pins,
// into out/tools: crictl, critest (the validation suite of the CRI), ginkgo (which runs critest in several
// processes) and streams (a client of streaming URLs, test/cri-tools/streams). Does nothing while none of it
// has changed.

import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { findGo } from "./lib/go.mjs";
import { projectRoot, run } from "./lib/run.mjs";
import { hashFiles, isCurrent, markCurrent } from "./lib/stamp.mjs";

const module = join(projectRoot, "test/cri-tools");
const folder = join(projectRoot, "out/tools");
const PACKAGE = "sigs.k8s.io/cri-tools";

/** critest is made of tests, so that it is compiled as one. */
const PROGRAMS = [
  { name: "crictl", verb: ["build"], path: `${PACKAGE}/cmd/crictl` },
  { name: "critest", verb: ["test", "-c"], path: `${PACKAGE}/cmd/critest` },
  { name: "ginkgo", verb: ["build"], path: "github.com/onsi/ginkgo/v2/ginkgo" },
  { name: "streams", verb: ["build"], path: "./streams" },
];

/** Throws when there is no Go that can build them. */
export async function buildCriTools() {
  const sources = ["go.mod", "go.sum", "streams/main.go"].map((name) => join(module, name));
  const hash = hashFiles([...sources, import.meta.filename]);
  if (PROGRAMS.every(({ name }) => existsSync(join(folder, name))) && isCurrent("cri-tools", hash)) return;
  mkdirSync(folder, { recursive: true });
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
  for (const { name, verb, path } of PROGRAMS) {
    console.log(`  building ${name}`);
    await run(go, [...verb, ...flags, "-o", join(folder, name), path], {
      cwd: module,
      env: { CGO_ENABLED: "0" },
    });
  }
  markCurrent("cri-tools", hash);
}

if (process.argv[1]?.endsWith("/build-cri-tools.mjs")) await buildCriTools();
