// A daemon with images to run: a registry on loopback stands in for registry.k8s.io.

import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  ContainerConfig,
  type ContainerStatus,
  PodSandboxConfig,
  type PodSandboxStatus,
} from "../../../src/gen/runtime/v1/api.ts";
import { makeBusyboxImage, makeNginxImage, makeProbeImage } from "../../images/recipes.ts";
import { startRegistry, type TestRegistry } from "../../images/registry.ts";
import { Daemon } from "../daemon.ts";
import type { ScratchOptions } from "./scratch.ts";

export const BUSYBOX = "registry.k8s.io/e2e-test-images/busybox:1.29-2";
export const NGINX = "registry.k8s.io/e2e-test-images/nginx:1.14-2";
export const PROBE = "registry.k8s.io/e2e-test-images/probe:1";

const MAKERS = { [BUSYBOX]: makeBusyboxImage, [NGINX]: makeNginxImage, [PROBE]: makeProbeImage };
export type TestImage = keyof typeof MAKERS;

type PodChanges = Parameters<typeof PodSandboxConfig.fromPartial>[0];
type ContainerChanges = Parameters<typeof ContainerConfig.fromPartial>[0];

export const STATE = { CREATED: 0, RUNNING: 1, EXITED: 2 } as const;
export const POD_STATE = { READY: 0, NOTREADY: 1 } as const;

export class Stage {
  readonly daemon: Daemon;
  readonly registry: TestRegistry;

  private constructor(daemon: Daemon, registry: TestRegistry) {
    this.daemon = daemon;
    this.registry = registry;
  }

  /** Starts both. `pulled` images are in the daemon, `pushed` ones only in the registry. */
  static async make(
    pulled: readonly TestImage[],
    pushed: readonly TestImage[] = [],
    options: ScratchOptions = {},
  ): Promise<Stage> {
    const registry = await startRegistry();
    const daemon = new Daemon({ mirrors: { "registry.k8s.io": `http://${registry.host}` }, ...options });
    const stage = new Stage(daemon, registry);
    try {
      for (const image of [...pulled, ...pushed]) {
        await registry.push(await MAKERS[image](), image.slice(image.indexOf("/") + 1));
      }
      await daemon.start();
      for (const image of pulled) await daemon.ask("pullImage", { image: { image } });
    } catch (error) {
      await stage.remove();
      throw error;
    }
    return stage;
  }

  async remove(): Promise<void> {
    try {
      await this.daemon.remove();
    } finally {
      await this.registry.stop();
    }
  }

  podConfig(name: string, changes: PodChanges = {}): PodSandboxConfig {
    const logDirectory = join(this.daemon.scratch.folder, "logs", name);
    const metadata = { name, uid: `uid-${name}`, namespace: "e2e", attempt: 0 };
    return PodSandboxConfig.fromPartial({ metadata, logDirectory, linux: {}, ...changes });
  }

  async runPod(name: string, changes: PodChanges = {}, runtimeHandler = ""): Promise<string> {
    const config = this.podConfig(name, changes);
    if (config.logDirectory !== "") mkdirSync(config.logDirectory, { recursive: true });
    const request = { config, runtimeHandler };
    const { podSandboxId } = await this.daemon.ask<{ podSandboxId: string }>("runPodSandbox", request);
    return podSandboxId;
  }

  containerConfig(name: string, image: string, command: string[], changes: ContainerChanges = {}) {
    return ContainerConfig.fromPartial({
      metadata: { name, attempt: 0 },
      image: { image },
      command,
      logPath: `${name}.log`,
      linux: {},
      ...changes,
    });
  }

  async create(
    podSandboxId: string,
    name: string,
    image: string,
    command: string[],
    changes: ContainerChanges = {},
  ): Promise<string> {
    const config = this.containerConfig(name, image, command, changes);
    const request = { podSandboxId, config };
    return (await this.daemon.ask<{ containerId: string }>("createContainer", request)).containerId;
  }

  /** Creates and starts. */
  async run(...create: Parameters<Stage["create"]>): Promise<string> {
    const containerId = await this.create(...create);
    await this.daemon.ask("startContainer", { containerId });
    return containerId;
  }

  async status(containerId: string): Promise<ContainerStatus> {
    const answer = await this.daemon.ask<{ status?: ContainerStatus }>("containerStatus", { containerId });
    return answer.status as ContainerStatus;
  }

  async podStatus(podSandboxId: string): Promise<PodSandboxStatus> {
    const answer = await this.daemon.ask<{ status?: PodSandboxStatus }>("podSandboxStatus", { podSandboxId });
    return answer.status as PodSandboxStatus;
  }

  /** Waits for its end. */
  async exited(containerId: string): Promise<ContainerStatus> {
    for (;;) {
      const status = await this.status(containerId);
      if (status.state === STATE.EXITED) return status;
      await sleep(10);
    }
  }

  async exec(containerId: string, ...cmd: string[]): Promise<{ out: string; err: string; code: number }> {
    type Answer = { stdout: Uint8Array; stderr: Uint8Array; exitCode: number };
    const answer = await this.daemon.ask<Answer>("execSync", { containerId, cmd, timeout: 30n });
    const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
    return { out: text(answer.stdout), err: text(answer.stderr), code: answer.exitCode };
  }

  /** A container's log as it is on disk, in the format of the CRI. */
  log(podName: string, containerName: string): string {
    const path = join(this.daemon.scratch.folder, "logs", podName, `${containerName}.log`);
    return readFileSync(path, "utf8");
  }

  /** What the container wrote to a stream, its lines put together again. */
  output(podName: string, containerName: string, stream: "stdout" | "stderr" = "stdout"): string {
    let text = "";
    for (const line of this.log(podName, containerName).split("\n")) {
      const [, from, tag, rest] = /^\S+ (\S+) ([PF]) (.*)$/s.exec(line) ?? [];
      if (from === stream) text += `${rest}${tag === "F" ? "\n" : ""}`;
    }
    return text;
  }

  async removePod(podSandboxId: string): Promise<void> {
    await this.daemon.ask("removePodSandbox", { podSandboxId });
  }

  /** All there are, at once. */
  async removePods(): Promise<void> {
    const { items } = await this.daemon.ask<{ items: { id: string }[] }>("listPodSandbox", {});
    await Promise.all(items.map(({ id }) => this.removePod(id)));
  }
}
