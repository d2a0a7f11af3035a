// Answers about the runtime itself.

import type * as proto from "../gen/runtime/v1/api.ts";
import { version } from "../lib/version.ts";
import type { BerthConfig } from "../types/config.ts";
import { cgroupDrivers, enumNumber } from "./enums.ts";
import { runtimeInfo } from "./info.ts";
import type { CriVerbs } from "./verbs.ts";

/** Version of the kubelet's runtime API, which has not moved since its beginning; used when none was told. */
const KUBE_API_VERSION = "0.1.0";

export function versionAnswer(request: proto.VersionRequest): proto.VersionResponse {
  return {
    version: request.version || KUBE_API_VERSION,
    runtimeName: "berth",
    runtimeVersion: version,
    runtimeApiVersion: "v1",
  };
}

export function runtimeConfigAnswer(config: BerthConfig): proto.RuntimeConfigResponse {
  return { linux: { cgroupDriver: enumNumber(cgroupDrivers, config.cgroupDriver) } };
}

type RuntimeStatus = Awaited<ReturnType<CriVerbs["runtimeStatus"]>>;

/** Both conditions always: a client that gets fewer refuses the answer. */
export function statusAnswer(
  { runtimeReady, network, handlers, userNamespaces, layers }: RuntimeStatus,
  config: BerthConfig,
  verbose: boolean,
): proto.StatusResponse {
  return {
    status: {
      conditions: [
        { type: "RuntimeReady", status: runtimeReady, reason: "", message: "" },
        {
          type: "NetworkReady",
          status: network.ready,
          reason: network.reason,
          message: network.message,
        },
      ],
    },
    info: verbose ? runtimeInfo(config, version, layers) : {},
    runtimeHandlers: handlers.map(({ name, features }) => ({
      name,
      features: { ...features, userNamespaces: userNamespaces && features.userNamespaces },
    })),
    features: {
      supplementalGroupsPolicy: true,
      userNamespacesHostNetwork: userNamespaces,
      mountOptions: true,
    },
  };
}
