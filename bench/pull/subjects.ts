// Who pulls: each one fresh, on an empty file system of its own.

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ImageServiceService, PullImageRequest } from "../../src/gen/runtime/v1/api.ts";
import { type Cleanup, runProgram } from "../run/cleanup.ts";
import { versionOf } from "../run/machine.ts";
import { CriClient } from "../subjects/cri-client.ts";
import { viewCommands } from "../subjects/peer-view.ts";
import { startServer } from "../subjects/server-process.ts";
import type { BenchImage } from "./images.ts";
import { measurePull, type PullCost } from "./measure.ts";

export interface PullSubject {
  readonly name: string;
  /** As it calls itself. */
  readonly version: string;
  /** Pulls `image`, which the registry knows as `reference`, on the empty file system at `scratch`. */
  pull(cleanup: Cleanup, scratch: string, image: BenchImage, reference: string): Promise<PullCost>;
}

async function pullByCri(
  cleanup: Cleanup,
  scratch: string,
  pid: number | undefined,
  socket: string,
  reference: string,
): Promise<PullCost> {
  const client = new CriClient(socket);
  cleanup.add("close the connection", () => client.close());
  const request = PullImageRequest.fromPartial({ image: { image: reference } });
  return await measurePull(
    scratch,
    () => pid,
    async () => void (await client.call(ImageServiceService.pullImage, request)),
  );
}

export function berthSubject(project: string, commit: string): PullSubject {
  return {
    name: "berth",
    version: `berth ${commit}`,
    async pull(cleanup, scratch, _image, reference) {
      const folder = join(scratch, "berth");
      mkdirSync(folder);
      const socket = join(folder, "berth.sock");
      const config = join(folder, "berth.toml");
      writeFileSync(config, "");
      const places = ["--config", config, "--root", join(folder, "root"), "--state", join(folder, "state")];
      const child = await startServer(cleanup, {
        name: "berthd",
        command: join(project, "out/berthd"),
        args: [...places, "--socket", socket],
        socket,
        log: join(folder, "berthd.log"),
        env: process.env,
      });
      return await pullByCri(cleanup, scratch, child.pid, socket, reference);
    },
  };
}

/** Null when it is not installed. */
export async function containerdSubject(): Promise<PullSubject | null> {
  const version = (await versionOf("containerd"))?.replace(/^(\S+) \S+ (\S+).*$/, "$1 $2");
  if (version === undefined) return null;
  return {
    name: "containerd",
    version,
    async pull(cleanup, scratch, _image, reference) {
      const folder = join(scratch, "containerd");
      mkdirSync(folder);
      const socket = join(folder, "containerd.sock");
      const config = join(folder, "config.toml");
      writeFileSync(
        config,
        `version = 2
root = "${join(folder, "root")}"
state = "${join(folder, "state")}"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs"]
[grpc]
address = "${socket}"
[plugins."io.containerd.internal.v1.opt"]
path = "${join(folder, "opt")}"
`,
      );
      const script = ["set -e", ...viewCommands("v1 only"), `exec containerd --config ${config}`].join("\n");
      const child = await startServer(cleanup, {
        name: "containerd",
        command: "unshare",
        args: ["--mount", "--propagation", "private", "--", "sh", "-c", script],
        socket,
        log: join(folder, "containerd.log"),
      });
      return await pullByCri(cleanup, scratch, child.pid, socket, reference);
    },
  };
}

/** A program that runs to its end: its own process is what counts. */
async function measureProgram(scratch: string, command: string, args: readonly string[]): Promise<PullCost> {
  let pid: number | undefined;
  const run = () =>
    new Promise<void>((resolve, reject) => {
      const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"], cwd: "/" });
      pid = child.pid;
      let errors = "";
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        errors += text;
      });
      child.once("error", reject);
      child.once("close", (code) => {
        if (code === 0) resolve();
        else reject(new Error(`run ${command}: exit code ${code}: ${errors}`));
      });
    });
  return await measurePull(scratch, () => pid, run);
}

/** Null when it is not installed. */
export async function podmanSubject(): Promise<PullSubject | null> {
  const version = await versionOf("podman");
  if (version === null) return null;
  return {
    name: "podman",
    version,
    async pull(cleanup, scratch, _image, reference) {
      const [root, state] = [join(scratch, "root"), join(scratch, "state")];
      cleanup.add("unmount what podman mounted", async () => {
        if (existsSync(join(root, "overlay")))
          await runProgram("umount", ["-q", join(root, "overlay")]).catch(() => "");
      });
      const places = ["--root", root, "--runroot", state, "--tmpdir", join(scratch, "tmp")];
      const options = [
        "--storage-driver",
        "overlay",
        "--events-backend",
        "none",
        "--cgroup-manager",
        "cgroupfs",
      ];
      const pull = ["pull", "--quiet", "--tls-verify=false", reference];
      return await measureProgram(scratch, "podman", [...places, ...options, ...pull]);
    },
  };
}

/** The C++ program of floor.cc, compiled when its source is newer. It reads the layers from files. */
export async function floorSubject(project: string): Promise<PullSubject> {
  const source = join(project, "bench/pull/floor.cc");
  const program = join(project, "out/bench-images/pull-floor");
  if (!existsSync(program) || statSync(program).mtimeMs < statSync(source).mtimeMs) {
    mkdirSync(dirname(program), { recursive: true });
    const libraries = ["-lisal", "-lnettle", "-lpthread"];
    await runProgram("g++", ["-O2", "-std=c++20", "-o", program, source, ...libraries]);
  }
  return {
    name: "floor",
    version: "the floor (bench/pull/floor.cc)",
    pull: (_cleanup, scratch, image) => measureProgram(scratch, program, [scratch, ...image.blobs]),
  };
}
