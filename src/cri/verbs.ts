// The verbs behind the CRI, bound to what they work with. Tests bind others.

import { attachContainer } from "../containers/attach-container.ts";
import { containerStats } from "../containers/container-stats.ts";
import { containerStatus } from "../containers/container-status.ts";
import { containersInFull } from "../containers/containers-in-full.ts";
import { createContainer } from "../containers/create-container.ts";
import { execSync } from "../containers/exec-sync.ts";
import { listContainerStats } from "../containers/list-container-stats.ts";
import { listContainers } from "../containers/list-containers.ts";
import { openExec } from "../containers/open-exec.ts";
import { removeContainer } from "../containers/remove-container.ts";
import { reopenContainerLog } from "../containers/reopen-container-log.ts";
import { startContainer } from "../containers/start-container.ts";
import { stopContainer } from "../containers/stop-container.ts";
import { updateContainerResources } from "../containers/update-container-resources.ts";
import type { ImageDeps } from "../images/deps.ts";
import { imageFsInfo } from "../images/image-fs-info.ts";
import { imageStatus } from "../images/image-status.ts";
import { listImages } from "../images/list-images.ts";
import { pullImage } from "../images/pull-image.ts";
import { removeImage } from "../images/remove-image.ts";
import type { PodDeps } from "../pods/deps.ts";
import { listPodSandbox } from "../pods/list-pod-sandbox.ts";
import { listPodSandboxMetrics } from "../pods/list-pod-sandbox-metrics.ts";
import { listPodSandboxStats } from "../pods/list-pod-sandbox-stats.ts";
import { openPodPort } from "../pods/open-pod-port.ts";
import { podSandboxStats } from "../pods/pod-sandbox-stats.ts";
import { podSandboxStatus } from "../pods/pod-sandbox-status.ts";
import { removePodSandbox } from "../pods/remove-pod-sandbox.ts";
import { runPodSandbox } from "../pods/run-pod-sandbox.ts";
import { runtimeStatus } from "../pods/runtime-status.ts";
import { stopPodSandbox } from "../pods/stop-pod-sandbox.ts";
import { updatePodSandboxResources } from "../pods/update-pod-sandbox-resources.ts";
import { updateRuntimeConfig } from "../pods/update-runtime-config.ts";

const verbs = {
  runPodSandbox,
  stopPodSandbox,
  removePodSandbox,
  podSandboxStatus,
  listPodSandbox,
  podSandboxStats,
  listPodSandboxStats,
  listPodSandboxMetrics,
  runtimeStatus,
  updatePodSandboxResources,
  updateRuntimeConfig,
  createContainer,
  startContainer,
  stopContainer,
  removeContainer,
  containerStatus,
  listContainers,
  containersInFull,
  containerStats,
  listContainerStats,
  updateContainerResources,
  execSync,
  openExec,
  attachContainer,
  openPodPort,
  reopenContainerLog,
  pullImage,
  removeImage,
  imageStatus,
  listImages,
  imageFsInfo,
};

type Bound<Verb> = Verb extends (deps: never, ...rest: infer Rest) => infer Result
  ? (...rest: Rest) => Result
  : never;

export type CriVerbs = { readonly [Name in keyof typeof verbs]: Bound<(typeof verbs)[Name]> };

/** Every verb with `deps` as its first argument. */
export function bindVerbs(deps: PodDeps & ImageDeps): CriVerbs {
  const bound = Object.entries(verbs).map(([name, verb]) => [
    name,
    (...rest: unknown[]) => (verb as (...all: unknown[]) => unknown)(deps, ...rest),
  ]);
  return Object.fromEntries(bound) as CriVerbs;
}
