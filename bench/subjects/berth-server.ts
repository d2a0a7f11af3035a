// berthd on directories, cgroups and a bridge of its own.

import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runProgram } from "../run/cleanup.ts";
import type { Setting } from "../run/setting.ts";
import { CriEngine } from "./cri-engine.ts";
import { removeBridge, removeCgroups } from "./host-parts.ts";
import { startServer } from "./server-process.ts";

export interface BerthServer {
  readonly engine: CriEngine;
  readonly pid: number;
}

/** What a daemon that died leaves in the host: it would remove it itself at its next start. */
async function removePins(state: string): Promise<void> {
  const pods = join(state, "pods");
  for (const pod of existsSync(pods) ? readdirSync(pods) : []) {
    const pins = readdirSync("/run/netns").filter((name) => name.endsWith(pod.slice(0, 32)));
    for (const pin of pins) {
      await runProgram("umount", [join("/run/netns", pin)]);
      rmSync(join("/run/netns", pin));
    }
  }
}

/** Starts the built daemon (out/berthd.mjs), and loads the image. All of it is undone by the clean-up. */
export async function startBerth(setting: Setting): Promise<BerthServer> {
  const { cleanup, scratch, image, project } = setting;
  const folder = join(scratch, "berth");
  const [root, state, logs] = ["root", "state", "logs"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const noNetworks = join(folder, "no-cni");
  for (const path of [root, state, logs, noNetworks]) mkdirSync(path, { recursive: true });
  const bridge = `bb-${setting.suffix}`;
  const cgroupParent = `/berth-bench-${setting.suffix}`;
  cleanup.add("remove the cgroups of berth", () => removeCgroups(cgroupParent));
  cleanup.add("remove the bridge of berth", () => removeBridge(bridge));
  cleanup.add("remove the addresses of berth", () =>
    rmSync(`/var/lib/cni/networks/berth-${bridge}`, { recursive: true, force: true }),
  );
  cleanup.add("remove network namespaces of berth", () => removePins(state));
  const config = join(folder, "berth.toml");
  const lines = [
    `cni_conf_dir = "${noNetworks}"`,
    `default_subnet = "${setting.subnets[0]}"`,
    `bridge_name = "${bridge}"`,
  ];
  writeFileSync(config, `cgroup_parent = "${cgroupParent}"\n[network]\n${lines.join("\n")}\n`);
  const socket = join(folder, "berth.sock");
  const flags = ["--config", config, "--root", root, "--state", state, "--socket", socket];
  const child = await startServer(cleanup, {
    name: "berthd",
    command: process.execPath,
    args: [join(project, "out/berthd.mjs"), ...flags],
    socket,
    log: join(folder, "berthd.log"),
    env: process.env,
  });
  await runProgram(process.execPath, [
    join(project, "out/berth.cjs"),
    "-H",
    socket,
    "load",
    "-i",
    image.archive,
  ]);
  const engine = new CriEngine({ name: "berth", socket, image: image.reference, logs, cgroupParent });
  cleanup.add("close the connection to berthd", () => engine.close());
  cleanup.add("remove the pods of berth", () => engine.removeAll());
  return { engine, pid: child.pid ?? 0 };
}
