// Gathers what the plan of a container needs from the host and the image, and has it made.

import { join } from "node:path";
import { resolveImage } from "../images/resolve-image.ts";
import type { HeldLayers } from "../snapshots/layer-mounts.ts";
import { buildContainerPlan } from "../spec/build-container-plan.ts";
import { editedConfig } from "../spec/cdi.ts";
import { makeExecTemplate } from "../spec/exec-template.ts";
import type { ContainerPlanInput, ResolvedUser } from "../spec/inputs.ts";
import { resolveUser } from "../spec/resolve-user.ts";
import { containerSelinux } from "../spec/selinux.ts";
import type { CdiEdits } from "../types/cdi.ts";
import type { Container, ContainerConfig, ExecTemplate } from "../types/container.ts";
import type { ImageId } from "../types/ids.ts";
import type { Image } from "../types/image.ts";
import type { Plan } from "../types/plan.ts";
import type { Pod } from "../types/pod.ts";
import { cdiDeviceNodes } from "./cdi-devices.ts";
import type { ContainerDeps } from "./deps.ts";
import { hostDevices, requestedDevices } from "./device-nodes.ts";
import { EARLY_STAGES, hasHooks } from "./run-hooks.ts";
import { seccompProgram } from "./seccomp-program.ts";

export interface PlannedContainer {
  readonly plan: Plan;
  readonly user: ResolvedUser;
  readonly execTemplate: ExecTemplate;
  readonly input: ContainerPlanInput;
}

/** Files of a pod that its containers see in /etc. */
export function podFiles(
  deps: Pick<ContainerDeps, "paths">,
  podId: string,
): { resolvConf: string; hostname: string; hosts: string } {
  const directory = deps.paths.podState(podId);
  return {
    resolvConf: join(directory, "resolv.conf"),
    hostname: join(directory, "hostname"),
    hosts: join(directory, "hosts"),
  };
}

/** What the container's file systems are made of. */
export interface ContainerImages {
  readonly root: Image;
  readonly volumes: readonly Image[];
}

/** `root`, and the images that the container mounts: CreateContainer has put their ids into its config. */
export function containerImages(deps: ContainerDeps, config: ContainerConfig, root: Image): ContainerImages {
  const volumes = config.mounts.flatMap(({ image }) =>
    image === undefined ? [] : (resolveImage(deps.store, image.imageRef) ?? []),
  );
  return { root, volumes };
}

/** Their layers, to be released when the container's mounts are made. Errors as those of LayerMounts. */
export function holdLayers(deps: ContainerDeps, { root, volumes }: ContainerImages): Promise<HeldLayers> {
  return deps.layerMounts.hold([root, ...volumes].flatMap(({ layers }) => layers));
}

function volumeLowers(
  deps: ContainerDeps,
  images: readonly Image[],
  held: HeldLayers,
): Map<ImageId, string[]> {
  return new Map(
    images.map((image) => {
      const layers = lowersOf(held, image);
      // Without any an overlay has too few: it takes none of a single directory.
      return [image.id, layers.length > 0 ? layers : [deps.paths.emptyRootRelative]];
    }),
  );
}

/** Top first. */
function lowersOf(held: HeldLayers, image: Image): string[] {
  return image.layers.map((number) => held.lower(number)).reverse();
}

/** `edits` are those of the container's CDI devices, as they were read when its runtime was chosen. */
export async function planContainer(
  deps: ContainerDeps,
  pod: Pod,
  container: Pick<Container, "config" | "snapshot" | "runtime">,
  { images, layers }: { readonly images: ContainerImages; readonly layers: Promise<HeldLayers> },
  edits: Required<CdiEdits>,
): Promise<PlannedContainer> {
  const config = editedConfig(container.config, edits);
  const image = images.root;
  const { security } = config;
  const withoutDevices = container.runtime?.handler?.privilegedWithoutHostDevices === true;
  const [held, files, seccomp, requested, described, nodes] = await Promise.all([
    layers,
    deps.userFiles.get(image),
    seccompProgram(deps, security),
    requestedDevices(config.devices),
    cdiDeviceNodes(edits),
    security.privileged && !withoutDevices ? hostDevices() : Promise.resolve([]),
  ]);
  const user = resolveUser({ security, imageUser: image.config.user, ...files });
  const input: ContainerPlanInput = {
    pod: pod.config,
    container: config,
    image: image.config,
    lowers: lowersOf(held, image),
    snapshot: deps.paths.snapshotRelative(container.snapshot),
    paths: {
      snapshots: deps.paths.snapshots,
      rootAttach: deps.paths.rootAttach,
      mountsAttach: deps.paths.mountsAttach,
      emptyLayer: deps.paths.emptyLayerRelative,
      ...podFiles(deps, pod.id),
    },
    host: deps.host,
    user,
    selinux: containerSelinux(pod.config.security.selinux, security.selinux, security.privileged, deps.host),
    seccomp,
    devices: [...requested, ...described],
    hostDevices: nodes,
    forceLegacyOverlay: deps.config.forceLegacyOverlay,
    volumeLowers: volumeLowers(deps, images.volumes, held),
    pauses: hasHooks(container, ...EARLY_STAGES),
  };
  return { plan: buildContainerPlan(input), user, execTemplate: makeExecTemplate(input), input };
}
