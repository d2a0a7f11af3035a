// The calls that the command line makes. Listed one by one, so that a bundle holds the messages of
// these alone.

import * as engine from "../../gen/berth/v1/engine.ts";
import * as images from "../../gen/berth/v1/images.ts";
import * as registries from "../../gen/berth/v1/registries.ts";
import * as cri from "../../gen/runtime/v1/api.ts";

export interface Method<Request, Response> {
  readonly path: string;
  encode(message: Request): Uint8Array;
  decode(bytes: Uint8Array): Response;
}

interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

function method<Request, Response>(
  path: string,
  request: Codec<Request>,
  response: Codec<Response>,
): Method<Request, Response> {
  return {
    path,
    encode: (message) => request.encode(message).finish(),
    decode: (bytes) => response.decode(bytes),
  };
}

const E = "/berth.v1.Engine";
const S = "/berth.v1.Images";
const R = "/runtime.v1.RuntimeService";
const I = "/runtime.v1.ImageService";
const G = "/berth.v1.Registries";

export const info = method(`${E}/Info`, engine.InfoRequest, engine.InfoResponse);
export const resolve = method(`${E}/Resolve`, engine.ResolveRequest, engine.ResolveResponse);
export const listContainers = method(
  `${E}/ListContainers`,
  engine.ListContainersRequest,
  engine.ListContainersResponse,
);
export const listImages = method(`${E}/ListImages`, engine.ListImagesRequest, engine.ListImagesResponse);
export const inspect = method(`${E}/Inspect`, engine.InspectRequest, engine.InspectResponse);
export const attach = method(`${E}/Attach`, engine.AttachRequest, engine.AttachResponse);
export const exec = method(`${E}/Exec`, engine.ExecRequest, engine.ExecResponse);
export const startExec = method(`${E}/StartExec`, engine.ExecStart, engine.ExecStarted);
export const portForward = method(`${E}/PortForward`, engine.PortForwardRequest, engine.PortForwardResponse);
export const wait = method(`${E}/Wait`, engine.WaitRequest, engine.WaitResponse);
export const signalContainer = method(
  `${E}/SignalContainer`,
  engine.SignalContainerRequest,
  engine.SignalContainerResponse,
);
export const stats = method(`${E}/Stats`, engine.StatsRequest, engine.StatsResponse);
export const top = method(`${E}/Top`, engine.TopRequest, engine.TopResponse);
export const events = method(`${E}/Events`, engine.EventsRequest, engine.EventsResponse);
export const logs = method(`${E}/Logs`, engine.LogsRequest, engine.LogsResponse);
export const pullImage = method(`${E}/PullImage`, engine.PullImageRequest, engine.PullImageResponse);
export const listPulls = method(`${G}/ListPulls`, registries.ListPullsRequest, registries.ListPullsResponse);
export const checkLogin = method(
  `${G}/CheckLogin`,
  registries.CheckLoginRequest,
  registries.CheckLoginResponse,
);
export const testRegistry = method(
  `${G}/TestRegistry`,
  registries.TestRegistryRequest,
  registries.TestRegistryResponse,
);
export const loadImage = method(`${E}/LoadImage`, engine.LoadImageRequest, engine.LoadImageResponse);

export const tagImage = method(`${S}/TagImage`, images.TagImageRequest, images.TagImageResponse);
export const untagImage = method(`${S}/UntagImage`, images.UntagImageRequest, images.UntagImageResponse);
export const pruneImages = method(`${S}/PruneImages`, images.PruneImagesRequest, images.PruneImagesResponse);
export const diskUsage = method(`${S}/DiskUsage`, images.DiskUsageRequest, images.DiskUsageResponse);

export const saveImage = method(`${S}/SaveImage`, images.SaveImageRequest, images.SaveImageResponse);
export const exportContainer = method(
  `${S}/ExportContainer`,
  images.ExportContainerRequest,
  images.ExportContainerResponse,
);
export const importImage = method(`${S}/ImportImage`, images.ImportImageRequest, images.ImportImageResponse);
export const pushImage = method(`${S}/PushImage`, images.PushImageRequest, images.PushImageResponse);
export const verifyImage = method(`${S}/VerifyImage`, images.VerifyImageRequest, images.VerifyImageResponse);
export const repairImage = method(`${S}/RepairImage`, images.RepairImageRequest, images.RepairImageResponse);

export const version = method(`${R}/Version`, cri.VersionRequest, cri.VersionResponse);
export const runPodSandbox = method(
  `${R}/RunPodSandbox`,
  cri.RunPodSandboxRequest,
  cri.RunPodSandboxResponse,
);
export const podSandboxStatus = method(
  `${R}/PodSandboxStatus`,
  cri.PodSandboxStatusRequest,
  cri.PodSandboxStatusResponse,
);
export const stopPodSandbox = method(
  `${R}/StopPodSandbox`,
  cri.StopPodSandboxRequest,
  cri.StopPodSandboxResponse,
);
export const removePodSandbox = method(
  `${R}/RemovePodSandbox`,
  cri.RemovePodSandboxRequest,
  cri.RemovePodSandboxResponse,
);
export const createContainer = method(
  `${R}/CreateContainer`,
  cri.CreateContainerRequest,
  cri.CreateContainerResponse,
);
export const startContainer = method(
  `${R}/StartContainer`,
  cri.StartContainerRequest,
  cri.StartContainerResponse,
);
export const stopContainer = method(
  `${R}/StopContainer`,
  cri.StopContainerRequest,
  cri.StopContainerResponse,
);
export const removeContainer = method(
  `${R}/RemoveContainer`,
  cri.RemoveContainerRequest,
  cri.RemoveContainerResponse,
);
export const imageStatus = method(`${I}/ImageStatus`, cri.ImageStatusRequest, cri.ImageStatusResponse);
export const removeImage = method(`${I}/RemoveImage`, cri.RemoveImageRequest, cri.RemoveImageResponse);
