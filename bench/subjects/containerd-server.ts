// Debian's containerd with its CRI plugin, on directories, cgroups and a bridge of its own, in a private
// mount namespace: its overlays never appear on the host.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ImageRecipe } from "../../test/images/layout.ts";
import { makeImage } from "../../test/images/layout.ts";
import { Tree } from "../../test/images/tree.ts";
import { runProgram } from "../run/cleanup.ts";
import { versionOf } from "../run/machine.ts";
import { childrenOf, findProcesses, programOf } from "../run/memory.ts";
import type { Setting } from "../run/setting.ts";
import { CriEngine } from "./cri-engine.ts";
import { removeBridge, removeCgroups } from "./host-parts.ts";
import { type CgroupView, isHybrid, viewCommands } from "./peer-view.ts";
import { startServer } from "./server-process.ts";

const PAUSE = "berth.test/pause:latest";

export interface ContainerdServer {
  readonly engine: CriEngine;
  readonly version: string;
  readonly view: CgroupView;
  readonly pid: number;
  /** Ids of its shims and pause processes. */
  overhead(): number[];
}

function pauseImage(project: string) {
  const tree = new Tree().copy(join(project, "out/native/Release/probe"), "pause");
  const config = { Entrypoint: ["/pause", "sleep"], WorkingDir: "/" };
  const recipe: ImageRecipe = { name: "bench-pause", reference: PAUSE, layers: [tree], config };
  return makeImage(recipe);
}

/** The plugins and settings of berth's default network. */
function networkList(bridge: string, subnet: string, addresses: string): string {
  const ipam = {
    type: "host-local",
    dataDir: addresses,
    ranges: [[{ subnet }]],
    routes: [{ dst: "0.0.0.0/0" }],
  };
  const plugin = { type: "bridge", bridge, isGateway: true, ipMasq: true, hairpinMode: true, ipam };
  return JSON.stringify({ cniVersion: "1.0.0", name: bridge, plugins: [plugin] });
}

function configuration(folder: string, networks: string): string {
  return `version = 2
root = "${join(folder, "root")}"
state = "${join(folder, "state")}"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs"]
[grpc]
address = "${join(folder, "containerd.sock")}"
[plugins."io.containerd.internal.v1.opt"]
path = "${join(folder, "opt")}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "${PAUSE}"
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "${networks}"
`;
}

/** Null when containerd is not installed. */
export async function startContainerd(setting: Setting): Promise<ContainerdServer | null> {
  const { cleanup, scratch, image, suffix } = setting;
  // "containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3"
  const version = (await versionOf("containerd"))?.replace(/^(\S+) \S+ (\S+).*$/, "$1 $2") ?? null;
  if (version === null) return null;
  const folder = join(scratch, "containerd");
  const [logs, networks] = [join(folder, "logs"), join(folder, "networks")];
  for (const path of [logs, networks]) mkdirSync(path, { recursive: true });
  const bridge = `bc-${suffix}`;
  const cgroupParent = `/berth-bench-${suffix}-containerd`;
  const list = networkList(bridge, setting.subnets[1] ?? "", join(folder, "addresses"));
  writeFileSync(join(networks, "bench.conflist"), list);
  writeFileSync(join(folder, "config.toml"), configuration(folder, networks));
  cleanup.add("remove the bridge of containerd", () => removeBridge(bridge));
  const socket = join(folder, "containerd.sock");
  const shims = () =>
    findProcesses(
      (args) => /containerd-shim/.test(args[0] ?? "") && args.some((arg) => arg.startsWith(folder)),
    );
  cleanup.add("end the shims of containerd", () => {
    for (const pid of shims()) process.kill(pid, "SIGKILL");
  });
  cleanup.add("remove the cgroups of containerd", () => removeCgroups(cgroupParent));
  // On v2 it needs controllers, which a host with both versions gives to v1.
  const view = isHybrid() ? "v1 only" : "as it is";
  const commands = viewCommands(view);
  const script = ["set -e", ...commands, `exec containerd --config ${join(folder, "config.toml")}`].join(
    "\n",
  );
  const child = await startServer(cleanup, {
    name: "containerd",
    command: "unshare",
    args: ["--mount", "--propagation", "private", "--", "sh", "-c", script],
    socket,
    log: join(folder, "containerd.log"),
  });
  for (const { archive } of [await pauseImage(setting.project), image]) {
    await runProgram("ctr", ["-a", socket, "-n", "k8s.io", "images", "import", archive]);
  }
  const engine = new CriEngine({ name: "containerd", socket, image: image.reference, logs, cgroupParent });
  cleanup.add("close the connection to containerd", () => engine.close());
  cleanup.add("remove the pods of containerd", () => engine.removeAll());
  const pauses = (shim: number) => childrenOf(shim).filter((pid) => programOf(pid) === "/pause");
  return {
    engine,
    version,
    view,
    pid: child.pid ?? 0,
    overhead: () => shims().flatMap((shim) => [shim, ...pauses(shim)]),
  };
}
