// The "info" maps of verbose answers: details that have no field of their own, as JSON by topic. Nothing
// that came with a pull's credentials, and nothing of the registry settings, ever gets in here.

import { stateOfContainer } from "../containers/container-lifecycle.ts";
import { artifactInfo } from "../images/artifact-info.ts";
import { stateOfPod } from "../pods/pod-lifecycle.ts";
import type { BerthConfig } from "../types/config.ts";
import type { Container } from "../types/container.ts";
import type { Image } from "../types/image.ts";
import type { Pod } from "../types/pod.ts";

/** info["config"] of Status: where things are and how the daemon behaves. */
export function runtimeInfo(
  config: BerthConfig,
  version: string,
  layers: { readonly form: string; readonly reason: string },
): Record<string, string> {
  const shown = {
    version,
    rootDir: config.root,
    stateDir: config.state,
    socket: config.socket,
    cgroupDriver: config.cgroupDriver,
    cgroupParent: config.cgroupParent,
    missingController: config.missingController,
    seccompProfileDir: config.seccompProfileDir,
    cniConfDir: config.network.cniConfDir,
    cniBinDirs: config.network.cniBinDirs,
    defaultSubnet: config.network.defaultSubnet,
    logLevel: config.logLevel,
    layerForm: layers.form,
    layerFormReason: layers.reason,
  };
  return { config: JSON.stringify(shown) };
}

/** info["info"] of PodSandboxStatus. `pid` is that of the pod's monitor, 0 when there is none. */
export function podInfo(pod: Pod): Record<string, string> {
  const shown = {
    pid: pod.monitor?.pid ?? 0,
    state: stateOfPod(pod),
    runtimeHandler: pod.handler,
    cgroupPath: pod.cgroupPath,
    netnsPath: pod.netnsPath,
    networkHeld: pod.networkHeld,
    network: pod.network,
    bootId: pod.bootId,
    config: pod.config,
  };
  return { info: JSON.stringify(shown) };
}

/** info["info"] of ContainerStatus. `pid` is the host's, 0 when the container does not run. */
export function containerInfo(container: Container, runtimeHandler: string): Record<string, string> {
  const state = stateOfContainer(container);
  const lives = state === "CREATED" || state === "RUNNING";
  const shown = {
    sandboxID: container.podId,
    pid: lives ? (container.process?.pid ?? 0) : 0,
    state,
    runtimeHandler,
    cgroupPath: container.cgroupPath,
    snapshot: container.snapshot,
    signal: container.signal,
    oomKilled: container.oomKilled,
    user: container.user,
    config: { ...container.config, envs: shownEnvironment(container) },
  };
  return { info: JSON.stringify(shown) };
}

/** Byte strings as text; bytes that are not UTF-8 appear as replacement characters. */
function shownEnvironment(container: Container): { name: string; value: string }[] {
  const decode = (bytes: string) => Buffer.from(bytes, "latin1").toString("utf8");
  return container.config.envs.map(({ name, value }) => ({ name: decode(name), value: decode(value) }));
}

/** info["info"] of ImageStatus: the image config, or the artifact's manifest, as the registry gave it. */
export function imageInfo(image: Image): Record<string, string> {
  const shown = {
    manifestDigest: image.manifestDigest,
    architecture: image.architecture,
    os: image.os,
    pulledAt: new Date(image.pulledAt / 1000).toISOString(),
    layers: image.layers,
    ...(image.artifact === null
      ? { imageSpec: JSON.parse(image.configJson) as unknown }
      : {
          artifactType: image.artifact.type,
          files: artifactInfo(image.artifact, image.id).files,
          manifest: JSON.parse(image.artifact.manifest) as unknown,
        }),
  };
  return { info: JSON.stringify(shown) };
}
