// berthd on directories, cgroups and a bridge of its own.

import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { rememberControllers } from "../../test/runner/controllers.ts";
import { runProgram } from "../run/cleanup.ts";
import type { Setting } from "../run/setting.ts";
import { CriEngine, type CriSetting } from "./cri-engine.ts";
import { removeBridge, removeCgroups } from "./host-parts.ts";
import { startServer } from "./server-process.ts";

/** Handlers that it has beside its own. */
export const FOREIGN = ["crun", "runc"] as const;

export interface BerthServer {
  readonly engine: CriEngine;
  readonly pid: number;
  readonly socket: string;
  /** The same server with pods of another kind. */
  engineOf(name: string, pods: Pick<CriSetting, "handler" | "userNamespace">): CriEngine;
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

export interface Launch {
  /** Fills the root directory before the daemon starts. */
  readonly prepare?: (root: string) => void;
  /** Another bundle than out/berthd.mjs. */
  readonly bundle?: string;
  /** Options of Node, and variables. */
  readonly nodeOptions?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

export interface LaunchedBerth extends BerthServer {
  readonly loadImage: () => Promise<void>;
}

/** Starts the built daemon, and loads the image. All of it is undone by the clean-up. */
export async function startBerth(setting: Setting): Promise<BerthServer> {
  const server = await launchBerth(setting);
  await server.loadImage();
  setting.cleanup.add("remove the pods of berth", () => server.engine.removeAll());
  return server;
}

/** As in systemd/berthd.service. */
const NODE_OPTIONS = ["--max-semi-space-size=2", "--no-parallel-scavenge"];

/** Starts the daemon alone. */
export async function launchBerth(setting: Setting, launch: Launch = {}): Promise<LaunchedBerth> {
  const { cleanup, scratch, image, project } = setting;
  const folder = join(scratch, `berth-${setting.suffix}`);
  const [root, state, logs] = ["root", "state", "logs"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const noNetworks = join(folder, "no-cni");
  for (const path of [root, state, logs, noNetworks]) mkdirSync(path, { recursive: true });
  launch.prepare?.(root);
  const cgroupParent = `/berth-bench-${setting.suffix}`;
  undoTraces(setting, state, cgroupParent);
  const config = join(folder, "berth.toml");
  writeFileSync(config, configuration(setting, cgroupParent, noNetworks));
  const socket = join(folder, "berth.sock");
  const flags = ["--config", config, "--root", root, "--state", state, "--socket", socket];
  const child = await startServer(cleanup, {
    name: "berthd",
    command: process.execPath,
    args: [
      ...NODE_OPTIONS,
      ...(launch.nodeOptions ?? []),
      launch.bundle ?? join(project, "out/berthd.mjs"),
      ...flags,
    ],
    socket,
    log: join(folder, "berthd.log"),
    env: { ...process.env, ...launch.env },
  });
  const engineOf: BerthServer["engineOf"] = (name, pods) => {
    const made = new CriEngine({ name, socket, image: image.reference, logs, cgroupParent, ...pods });
    cleanup.add(`close the connection of ${name}`, () => made.close());
    return made;
  };
  const loadImage = async () => {
    const program = join(project, "out/berth.cjs");
    await runProgram(process.execPath, [program, "-H", socket, "load", "-i", image.archive]);
  };
  return { engine: engineOf("berth", {}), pid: child.pid ?? 0, socket, engineOf, loadImage };
}

function configuration({ subnets, suffix }: Setting, cgroupParent: string, noNetworks: string): string {
  const lines = [
    `cni_conf_dir = "${noNetworks}"`,
    `default_subnet = "${subnets[0]}"`,
    `bridge_name = "bb-${suffix}"`,
  ];
  const handlers = FOREIGN.map((name) => `[handlers.${name}]\npath = "/usr/bin/${name}"`);
  return `cgroup_parent = "${cgroupParent}"\n[network]\n${[...lines, ...handlers].join("\n")}\n`;
}

function undoTraces({ cleanup, suffix }: Setting, state: string, cgroupParent: string): void {
  const bridge = `bb-${suffix}`;
  cleanup.add("give back cgroup controllers", rememberControllers());
  cleanup.add("remove the cgroups of berth", () => removeCgroups(cgroupParent));
  cleanup.add("remove the bridge of berth", () => removeBridge(bridge));
  cleanup.add("remove the addresses of berth", () =>
    rmSync(`/var/lib/cni/networks/berth-${bridge}`, { recursive: true, force: true }),
  );
  cleanup.add("remove network namespaces of berth", () => removePins(state));
}
