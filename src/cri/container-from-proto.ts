// ContainerConfig and the filters of containers, from their wire types.

import type * as proto from "../gen/runtime/v1/api.ts";
import type {
  ContainerConfig,
  ContainerDevice,
  ContainerMount,
  ContainerSecurity,
  ContainerState,
  EnvVar,
} from "../types/container.ts";
import { containerStates, propagations } from "./enums.ts";
import { byteString, enumName, filled, invalidField, present, text, texts } from "./fields.ts";
import { imageRequestFromProto } from "./image-from-proto.ts";
import {
  commonSecurityFromProto,
  idMappingsFromProto,
  namespacesFromProto,
  profileFromProto,
  resourcesFromProto,
} from "./security-from-proto.ts";
import { signalFromProto } from "./signals.ts";

/**
 * The config of a container. `path` is where the message stands in the request ("config").
 * Throws INVALID_ARGUMENT that names the field.
 */
export function containerConfigFromProto(
  message: proto.ContainerConfig | undefined,
  path: string,
): ContainerConfig {
  const config = present(message, path);
  if (config.windows !== undefined) {
    throw invalidField(`${path}.windows`, "is set: berth runs Linux containers only");
  }
  const metadata = present(config.metadata, `${path}.metadata`);
  const at = `${path}.linux.security_context`;
  return {
    metadata: { name: filled(metadata.name, `${path}.metadata.name`), attempt: metadata.attempt },
    image: imageRequestFromProto(config.image, `${path}.image`),
    command: texts(config.command, `${path}.command`),
    args: texts(config.args, `${path}.args`),
    workingDir: text(config.workingDir, `${path}.working_dir`),
    envs: config.envs.map((env, index) => envFromProto(env, `${path}.envs[${index}]`)),
    mounts: config.mounts.map((mount, index) => mountFromProto(mount, `${path}.mounts[${index}]`)),
    devices: config.devices.map((device, index) => deviceFromProto(device, `${path}.devices[${index}]`)),
    cdiDevices: config.CDIDevices.map(({ name }, index) =>
      filled(name, `${path}.CDI_devices[${index}].name`),
    ),
    labels: { ...config.labels },
    annotations: { ...config.annotations },
    logPath: text(config.logPath, `${path}.log_path`),
    stdin: config.stdin,
    stdinOnce: config.stdinOnce,
    tty: config.tty,
    stopSignal: signalFromProto(config.stopSignal, `${path}.stop_signal`),
    resources: resourcesFromProto(config.linux?.resources, `${path}.linux.resources`),
    security: containerSecurityFromProto(config.linux?.securityContext, at),
  };
}

/** Values are bytes: whatever they hold reaches the container unchanged. */
function envFromProto(message: proto.KeyValue, path: string): EnvVar {
  const key = filled(message.key, `${path}.key`);
  if (key.includes("=")) throw invalidField(`${path}.key`, `is "${key}": a name cannot hold "="`);
  // The name belongs into the message, the value never: it may be a secret.
  if (message.value.includes(0)) throw invalidField(`${path}.value`, `(of "${key}") holds a NUL byte`);
  return { name: byteString(key), value: message.value.toString("latin1") };
}

function mountFromProto(message: proto.Mount, path: string): ContainerMount {
  return {
    containerPath: filled(message.containerPath, `${path}.container_path`),
    hostPath: text(message.hostPath, `${path}.host_path`),
    readonly: message.readonly,
    selinuxRelabel: message.selinuxRelabel,
    propagation: enumName(propagations, message.propagation, `${path}.propagation`),
    uidMappings: idMappingsFromProto(message.uidMappings),
    gidMappings: idMappingsFromProto(message.gidMappings),
    recursiveReadOnly: message.recursiveReadOnly,
    image: mountImageFromProto(message.image, `${path}.image`),
    imageSubPath: text(message.imageSubPath, `${path}.image_sub_path`),
    mountOptions: texts(message.mountOptions, `${path}.mount_options`),
  };
}

/** A spec that names no image is none: the mount is one of a host path. */
function mountImageFromProto(message: proto.ImageSpec | undefined, path: string): ContainerMount["image"] {
  if (message === undefined || message.image === "") return undefined;
  return imageRequestFromProto(message, path);
}

function deviceFromProto(message: proto.Device, path: string): ContainerDevice {
  const permissions = text(message.permissions, `${path}.permissions`);
  if (!/^[rwm]*$/.test(permissions)) {
    throw invalidField(`${path}.permissions`, `is "${permissions}": only "r", "w" and "m" are known`);
  }
  return {
    containerPath: text(message.containerPath, `${path}.container_path`),
    hostPath: filled(message.hostPath, `${path}.host_path`),
    permissions,
  };
}

function containerSecurityFromProto(
  message: proto.LinuxContainerSecurityContext | undefined,
  path: string,
): ContainerSecurity {
  const capabilities = message?.capabilities;
  const namespaces = message?.namespaceOptions;
  return {
    ...commonSecurityFromProto(message, path),
    addCapabilities: texts(capabilities?.addCapabilities ?? [], `${path}.capabilities.add_capabilities`),
    dropCapabilities: texts(capabilities?.dropCapabilities ?? [], `${path}.capabilities.drop_capabilities`),
    ambientCapabilities: texts(
      capabilities?.addAmbientCapabilities ?? [],
      `${path}.capabilities.add_ambient_capabilities`,
    ),
    // Absent stays absent, unlike in a pod: the verb then takes the pod's.
    namespaces:
      namespaces === undefined ? undefined : namespacesFromProto(namespaces, `${path}.namespace_options`),
    runAsUsername: text(message?.runAsUsername ?? "", `${path}.run_as_username`),
    noNewPrivs: message?.noNewPrivs ?? false,
    maskedPaths: texts(message?.maskedPaths ?? [], `${path}.masked_paths`),
    readonlyPaths: texts(message?.readonlyPaths ?? [], `${path}.readonly_paths`),
    apparmor: profileFromProto(
      message?.apparmor,
      `${path}.apparmor`,
      message?.apparmorProfile ?? "",
      `${path}.apparmor_profile`,
    ),
  };
}

/** What ListContainers selects by. Absent parts select everything. */
export interface ContainerSelection {
  readonly id?: string;
  readonly podId?: string;
  readonly state?: ContainerState;
  readonly labels?: Readonly<Record<string, string>>;
}

export function containerFilterFromProto(message: proto.ContainerFilter | undefined): ContainerSelection {
  if (message === undefined) return {};
  const { id, podSandboxId, state, labelSelector } = message;
  return {
    ...(id === "" ? {} : { id }),
    ...(podSandboxId === "" ? {} : { podId: podSandboxId }),
    ...(state === undefined ? {} : { state: enumName(containerStates, state.state, "filter.state.state") }),
    ...(Object.keys(labelSelector).length === 0 ? {} : { labels: labelSelector }),
  };
}
