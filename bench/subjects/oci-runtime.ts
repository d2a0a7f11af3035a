// runc and crun on a bundle, each command a process as an engine would start it.

import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { versionOf } from "../run/machine.ts";
import type { Setting } from "../run/setting.ts";
import { PROGRAMS } from "./cri-engine.ts";
import { removeCgroups } from "./host-parts.ts";
import { writeBundle } from "./oci-bundle.ts";
import { type CgroupView, isHybrid, viewCommands } from "./peer-view.ts";
import { TimingShell } from "./timing-shell.ts";

const TRUE = PROGRAMS.true.join(" ");

export class OciRuntime {
  readonly name: string;
  readonly version: string;
  readonly view: CgroupView;
  readonly #shell: TimingShell;
  readonly #command: string;
  readonly #folder: string;

  constructor(name: string, version: string, view: CgroupView, folder: string, shell: TimingShell) {
    this.name = name;
    this.version = version;
    this.view = view;
    this.#shell = shell;
    this.#folder = folder;
    const manager = name === "crun" ? " --cgroup-manager=cgroupfs" : "";
    this.#command = `${name} --root ${join(folder, "state")}${manager}`;
  }

  /** Each of these resolves with the milliseconds that the command took. */
  runTrue(): Promise<number> {
    return this.#shell.run(`${this.#command} run -b ${join(this.#folder, "true")} bench`);
  }

  create(): Promise<number> {
    return this.#shell.run(`${this.#command} create -b ${join(this.#folder, "sleep")} bench`);
  }

  start(): Promise<number> {
    return this.#shell.run(`${this.#command} start bench`);
  }

  execTrue(): Promise<number> {
    return this.#shell.run(`${this.#command} exec bench ${TRUE}`);
  }

  /** Kills and removes. */
  remove(): Promise<number> {
    return this.#shell.run(`${this.#command} delete --force bench`);
  }
}

/** Null when the runtime is not installed. */
export async function setUpRuntime(setting: Setting, name: "runc" | "crun"): Promise<OciRuntime | null> {
  const { cleanup, scratch, suffix, project } = setting;
  const version = await versionOf(name);
  if (version === null) return null;
  const folder = join(scratch, name);
  mkdirSync(join(folder, "rootfs"), { recursive: true });
  copyFileSync(join(project, "out/native/Release/probe"), join(folder, "rootfs/probe"));
  const cgroupParent = `/berth-bench-${suffix}-${name}`;
  for (const program of ["true", "sleep"] as const) writeBundle(folder, program, `${cgroupParent}/bench`);
  const view = isHybrid() ? "v2 only" : "as it is";
  cleanup.add(`remove the cgroups of ${name}`, () => removeCgroups(cgroupParent));
  const shell = new TimingShell(join(folder, "log"), viewCommands(view));
  cleanup.add(`end the shell of ${name}`, () => shell.close());
  return new OciRuntime(name, version, view, folder, shell);
}
