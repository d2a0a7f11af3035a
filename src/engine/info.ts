import { stateOfContainer } from "../containers/container-lifecycle.ts";
import { listContainers } from "../containers/list-containers.ts";
import type { HandlerInfo, InfoResponse } from "../gen/berth/v1/engine.ts";
import { listImages } from "../images/list-images.ts";
import { version } from "../lib/version.ts";
import { listPodSandbox } from "../pods/list-pod-sandbox.ts";
import type { HandlerConfig } from "../types/handler.ts";
import type { EngineDeps } from "./deps.ts";

function handlersOf({ handlers, defaultHandler }: EngineDeps["config"]): HandlerInfo[] {
  const isDefault = (handler: HandlerConfig) => handler.name === defaultHandler;
  return [...handlers]
    .sort((a, b) => Number(isDefault(b)) - Number(isDefault(a)))
    .map((handler) => ({
      name: handler.name,
      type: handler.type,
      path: handler.type === "oci" ? handler.path : "",
    }));
}

/** What the daemon is, where it keeps things, and how much of them there is. */
export async function info(deps: EngineDeps): Promise<InfoResponse> {
  const containers = await listContainers(deps);
  const network = await deps.network.status();
  return {
    version,
    root: deps.config.root,
    state: deps.config.state,
    pid: process.pid,
    kernelRelease: deps.host.kernelRelease,
    nodeVersion: process.version,
    cgroupDriver: deps.config.cgroupDriver,
    cgroupControllers: [...deps.host.cgroupControllers],
    networkReady: network.ready,
    networkMessage: network.ready ? "" : `${network.reason}: ${network.message}`,
    pods: (await listPodSandbox(deps)).length,
    containers: containers.length,
    containersRunning: containers.filter((row) => stateOfContainer(row) === "RUNNING").length,
    images: (await listImages(deps)).length,
    apparmor: deps.host.apparmor,
    selinux: deps.host.selinux,
    handlers: handlersOf(deps.config),
    layerForm: deps.layerForms.form,
    layerFormReason: deps.layerForms.reason,
  };
}
