// A CRI server under test, whichever it is: what the benchmark asks of it, in the kubelet's words.

import { setTimeout as sleep } from "node:timers/promises";
import {
  type ContainerConfig,
  ContainerState,
  ContainerStatusRequest,
  CreateContainerRequest,
  type ExecSyncRequest,
  NamespaceMode,
  PodSandboxConfig,
  RunPodSandboxRequest,
  RuntimeServiceService,
  SecurityProfile_ProfileType,
} from "../../src/gen/runtime/v1/api.ts";
import { CriClient } from "./cri-client.ts";

export type Network = "host" | "bridge";

/** A program of the probe image. `true` ends with 0 at once, `sleep` waits for its signal. */
export type Program = "true" | "sleep";
export const PROGRAMS = { true: ["/probe", "exit", "0"], sleep: ["/probe", "sleep"] } as const;

export interface Pod {
  readonly id: string;
  readonly config: PodSandboxConfig;
}

export interface CriSetting {
  readonly name: string;
  readonly socket: string;
  readonly image: string;
  /** Existing directory for the logs of pods. */
  readonly logs: string;
  /** Cgroup of all pods, such as "/bench". */
  readonly cgroupParent: string;
  /** Runtime handler; absent: the default. */
  readonly handler?: string | undefined;
  /** Pods have user namespaces, whose ids the server chooses. */
  readonly userNamespace?: boolean | undefined;
}

const runtimeDefault = { profileType: SecurityProfile_ProfileType.RuntimeDefault };
const POLL_MS = 1;
let serial = 0;

export class CriEngine {
  readonly name: string;
  readonly #client: CriClient;
  readonly #setting: CriSetting;

  constructor(setting: CriSetting) {
    this.name = setting.name;
    this.#client = new CriClient(setting.socket);
    this.#setting = setting;
  }

  #podConfig(network: Network): PodSandboxConfig {
    serial += 1;
    const name = `bench-${serial}`;
    const mode = network === "host" ? NamespaceMode.NODE : NamespaceMode.POD;
    const namespaceOptions = {
      network: mode,
      pid: NamespaceMode.CONTAINER,
      ipc: NamespaceMode.POD,
      ...(this.#setting.userNamespace === true ? { usernsOptions: { mode: NamespaceMode.POD } } : {}),
    };
    return PodSandboxConfig.fromPartial({
      metadata: { name, uid: `uid-${serial}`, namespace: "bench", attempt: 0 },
      hostname: network === "host" ? "" : name,
      logDirectory: this.#setting.logs,
      linux: {
        cgroupParent: this.#setting.cgroupParent,
        securityContext: { namespaceOptions, seccomp: runtimeDefault },
      },
    });
  }

  #containerConfig(program: Program): ContainerConfig {
    serial += 1;
    const namespaceOptions = { pid: NamespaceMode.CONTAINER };
    return CreateContainerRequest.fromPartial({
      config: {
        metadata: { name: `c${serial}`, attempt: 0 },
        image: { image: this.#setting.image },
        command: [...PROGRAMS[program]],
        logPath: `c${serial}.log`,
        linux: { securityContext: { namespaceOptions, seccomp: runtimeDefault } },
      },
    }).config as ContainerConfig;
  }

  async runPod(network: Network): Promise<Pod> {
    const config = this.#podConfig(network);
    const request = RunPodSandboxRequest.fromPartial({ config, runtimeHandler: this.#setting.handler ?? "" });
    const { podSandboxId } = await this.#client.call(RuntimeServiceService.runPodSandbox, request);
    return { id: podSandboxId, config };
  }

  async createContainer(pod: Pod, program: Program): Promise<string> {
    const request: CreateContainerRequest = {
      podSandboxId: pod.id,
      config: this.#containerConfig(program),
      sandboxConfig: pod.config,
    };
    return (await this.#client.call(RuntimeServiceService.createContainer, request)).containerId;
  }

  async startContainer(containerId: string): Promise<void> {
    await this.#client.call(RuntimeServiceService.startContainer, { containerId });
  }

  /** Runs `true` in the container. Rejects unless it ended with 0. */
  async execTrue(containerId: string): Promise<void> {
    const request: ExecSyncRequest = { containerId, cmd: [...PROGRAMS.true], timeout: 10n };
    const { exitCode } = await this.#client.call(RuntimeServiceService.execSync, request);
    if (exitCode !== 0) throw new Error(`${this.name}: exec of true ended with ${exitCode}`);
  }

  /** Asks every millisecond until the container has EXITED. */
  async waitForExit(containerId: string): Promise<void> {
    for (;;) {
      const request = ContainerStatusRequest.fromPartial({ containerId });
      const { status } = await this.#client.call(RuntimeServiceService.containerStatus, request);
      if (status?.state === ContainerState.CONTAINER_EXITED) {
        if (status.exitCode !== 0) throw new Error(`${this.name}: true ended with ${status.exitCode}`);
        return;
      }
      await sleep(POLL_MS);
    }
  }

  async stopContainer(containerId: string): Promise<void> {
    await this.#client.call(RuntimeServiceService.stopContainer, { containerId, timeout: 0n });
  }

  async removeContainer(containerId: string): Promise<void> {
    await this.#client.call(RuntimeServiceService.removeContainer, { containerId });
  }

  async stopPod(podSandboxId: string): Promise<void> {
    await this.#client.call(RuntimeServiceService.stopPodSandbox, { podSandboxId });
  }

  async removePod(podSandboxId: string): Promise<void> {
    await this.#client.call(RuntimeServiceService.removePodSandbox, { podSandboxId });
  }

  /** The "info" of a verbose PodSandboxStatus, parsed. */
  async podInfo(podSandboxId: string): Promise<{ pid?: number }> {
    const request = { podSandboxId, verbose: true };
    const { info } = await this.#client.call(RuntimeServiceService.podSandboxStatus, request);
    return JSON.parse(info.info ?? "{}") as { pid?: number };
  }

  /** Stops and removes every pod of the server. */
  async removeAll(): Promise<void> {
    const { items } = await this.#client.call(RuntimeServiceService.listPodSandbox, { filter: undefined });
    for (const { id } of items) {
      await this.stopPod(id);
      await this.removePod(id);
    }
  }

  close(): void {
    this.#client.close();
  }
}
