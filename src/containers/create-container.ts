import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { applyLimits } from "../cgroups/apply-limits.ts";
import { limitDevices } from "../cgroups/limit-devices.ts";
import { refuseDamaged } from "../images/refuse-damaged.ts";
import { resolveImage } from "../images/resolve-image.ts";
import type { Call } from "../lib/call.ts";
import { nowMicros } from "../lib/clock.ts";
import { BerthError, KernelError, messageOf, wrapError } from "../lib/errors.ts";
import { newId } from "../lib/new-id.ts";
import { outlive } from "../lib/outlive.ts";
import type { Steps } from "../lib/undo.ts";
import { withSteps } from "../lib/undo.ts";
import { containerCgroup } from "../paths.ts";
import type { HeldLayers } from "../snapshots/layer-mounts.ts";
import { makeSnapshot } from "../snapshots/make-snapshot.ts";
import { deviceRules } from "../spec/device-rules.ts";
import { cgroupWrites } from "../spec/resources.ts";
import {
  commitContainerPrepared,
  findContainer,
  findContainerByName,
  insertContainer,
  releaseContainerName,
} from "../store/containers.ts";
import { onDisk } from "../store/durable.ts";
import { hasImage } from "../store/images.ts";
import { findPod } from "../store/pods.ts";
import type { Container, ContainerConfig, ExecTemplate } from "../types/container.ts";
import type { ContainerRuntime } from "../types/handler.ts";
import type { ContainerId, PodId } from "../types/ids.ts";
import type { Image } from "../types/image.ts";
import type { Pod, PodConfig, ProcessRef } from "../types/pod.ts";
import { makeBundle } from "./bundle.ts";
import { cdiEdits } from "./cdi-devices.ts";
import { type ContainerWish, chooseRuntime } from "./choose-runtime.ts";
import { stateOfContainer } from "./container-lifecycle.ts";
import { creationKey } from "./creation-key.ts";
import type { ContainerDeps } from "./deps.ts";
import { withImageVolumes } from "./image-volumes.ts";
import { logPathOf } from "./log-path.ts";
import { makeProcess } from "./make-process.ts";
import { requirePidTarget } from "./pid-target.ts";
import type { PlannedContainer } from "./plan-container.ts";
import { type ContainerImages, containerImages, holdLayers, planContainer } from "./plan-container.ts";
import { relabelVolumes } from "./relabel-volumes.ts";
import { requireMonitor } from "./require-monitor.ts";
import { stopSignalOf } from "./stop-signal.ts";
import { undoContainer } from "./undo-container.ts";

export interface CreateContainerRequest {
  readonly podId: PodId;
  readonly config: ContainerConfig;
  /** The pod's config as the client repeats it. The one given to RunPodSandbox counts. */
  readonly podConfig?: PodConfig | undefined;
}

/**
 * Makes a container and its process up to the point before execve (CRI, CreateContainer). (pod, name,
 * attempt) is the idempotency key: a retry joins the running operation, or gets the id of the container
 * that it made. FAILED_PRECONDITION when the pod is not READY, NOT_FOUND when pod or image are not there.
 */
export function createContainer(
  deps: ContainerDeps,
  call: Call,
  request: CreateContainerRequest,
): Promise<ContainerId> {
  const { name, attempt } = request.config.metadata;
  if (name === "") {
    return Promise.reject(new BerthError("INVALID_ARGUMENT", "create container: metadata.name is empty"));
  }
  const key = creationKey(request.podId, name, attempt);
  return outlive(call, deps.creating, key, `create container "${name}"`, (own) => create(deps, own, request));
}

async function create(
  deps: ContainerDeps,
  call: Call,
  { podId, config: asked }: CreateContainerRequest,
): Promise<ContainerId> {
  const doing = `create container "${asked.metadata.name}"`;
  const pod = requireReadyPod(deps, podId, doing);
  const existing = findContainerByName(deps.store, podId, asked.metadata);
  if (existing !== null) {
    const found = adoptExisting(existing, doing);
    if (found !== null) {
      // Its creation may have ended between the commit and the sync.
      await onDisk(deps.store);
      return found;
    }
    // Left by a creation that could not be undone: it is cleared in the background.
    releaseContainerName(deps.store, existing.id);
  }
  if (asked.security.privileged && !pod.config.security.privileged) {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `${doing}: a privileged container needs a privileged sandbox, and "${podId}" is not`,
    );
  }
  const image = requireImage(deps, asked, doing);
  const config = withImageVolumes(deps, asked, doing);
  requirePidTarget(deps, podId, config, doing);
  requireMonitor(deps, podId, doing);
  const id = newId();
  deps.making.add(id);
  try {
    const edits = await cdiEdits(deps.config.cdiSpecDirs, config, call.log);
    const wish = { pod, config, image, edits };
    const runtime = await chooseRuntime(deps, wish, doing);
    return await make(deps, call, { ...wish, id, runtime });
  } catch (error) {
    // What berth itself refuses says what was being done; a system call that failed does not.
    if (error instanceof BerthError && !(error instanceof KernelError)) throw error;
    throw wrapError(doing, error);
  } finally {
    deps.making.delete(id);
  }
}

interface Making extends ContainerWish {
  readonly id: ContainerId;
  readonly runtime: ContainerRuntime | null;
}

async function make(deps: ContainerDeps, call: Call, making: Making): Promise<ContainerId> {
  const { pod, image, config, edits } = making;
  const { id, podId, createdAt } = await withSteps("CreateContainer", call, async (steps) => {
    const container = await reserve(deps, call, steps, making);
    const { planned, process } = await buildOnLayers(deps, call, steps, { pod, image, edits, container });
    await steps.run("commit", () => {
      // The pod may have been stopped meanwhile: then this container must not outlive it.
      requireReadyPod(deps, pod.id, `create container "${config.metadata.name}"`);
      const { uid, gid, groups } = planned.user;
      const user = { uid, gid, groups };
      const prepared = { preparedAt: nowMicros(), process, user, execTemplate: planned.execTemplate };
      commitContainerPrepared(deps.store, container.id, prepared);
    });
    return container;
  });
  // The caller is told of the container, so it must be known after a power cut too.
  const synced = onDisk(deps.store);
  deps.events({ type: "container-created", containerId: id, podId, at: createdAt });
  await synced;
  return id;
}

function requireReadyPod(deps: ContainerDeps, podId: PodId, doing: string): Pod {
  const pod = findPod(deps.store, podId);
  if (pod === null || pod.readyAt === null) {
    throw new BerthError("NOT_FOUND", `${doing}: pod sandbox "${podId}": no such pod sandbox`);
  }
  if (pod.stoppedAt === null && pod.removingAt === null) return pod;
  throw new BerthError("FAILED_PRECONDITION", `${doing}: pod sandbox "${podId}" is NOTREADY; run a new one`);
}

/** The id to answer a retry with; null when the row is a remainder. */
function adoptExisting(existing: Container, doing: string): ContainerId | null {
  if (existing.preparedAt === null) return null;
  if (stateOfContainer(existing) === "CREATED" && existing.removingAt === null) return existing.id;
  throw new BerthError(
    "ALREADY_EXISTS",
    `${doing}: container "${existing.id}" of the same name and attempt is ${stateOfContainer(existing)}; ` +
      "remove it, or create the next attempt",
  );
}

function requireImage(deps: ContainerDeps, config: ContainerConfig, doing: string): Image {
  const reference = config.image.image;
  if (reference === "") throw new BerthError("INVALID_ARGUMENT", `${doing}: no image is named`);
  const image = resolveImage(deps.store, reference);
  if (image !== null) {
    if (image.artifact !== null) {
      throw new BerthError(
        "FAILED_PRECONDITION",
        `${doing}: "${reference}" is no image but an artifact of type "${image.artifact.type}"; ` +
          "mount it as an image volume into a container of an image",
      );
    }
    refuseDamaged(deps.store, image, doing);
    return image;
  }
  throw missingImage(config, doing);
}

function missingImage({ image: { image } }: ContainerConfig, doing: string): BerthError {
  return new BerthError("NOT_FOUND", `${doing}: image "${image}" is not present; pull it first`);
}

/** The row comes before anything in the kernel or on disk: their names derive from it. */
async function reserve(
  deps: ContainerDeps,
  call: Call,
  steps: Steps,
  { id, pod, image, config, runtime }: Making,
): Promise<Container> {
  const user = { uid: 0, gid: 0, groups: [0] };
  const execTemplate: ExecTemplate = {
    env: [],
    workingDir: "/",
    user,
    privileged: false,
    security: config.security,
  };
  const logPath = logPathOf(deps.paths, pod, config.logPath);
  const stopSignal = stopSignalOf(config.stopSignal, image.config.stopSignal);
  const doing = `create container "${config.metadata.name}"`;
  return await steps.run(
    "reserve",
    () => {
      // From the row on nobody removes the image; until here it may have gone.
      if (!hasImage(deps.store, image.id)) throw missingImage(config, doing);
      return insertContainer(deps.store, {
        id,
        podId: pod.id,
        config,
        imageId: image.id,
        imageRef: config.image.userSpecifiedImage || config.image.image,
        createdAt: nowMicros(),
        cgroupPath: containerCgroup(pod.cgroupPath, id),
        logPath,
        stopSignal,
        user,
        execTemplate,
        runtime,
      });
    },
    () => undo(deps, call, id),
  );
}

/** A creation that cannot be undone right now must not block its name: the rest is done in the background. */
async function undo(deps: ContainerDeps, call: Call, id: ContainerId): Promise<void> {
  const container = findContainer(deps.store, id);
  if (container === null) return;
  try {
    await undoContainer(deps, container);
  } catch (error) {
    releaseContainerName(deps.store, id);
    call.log.warn({ container: id, error: messageOf(error) }, "undo of container is left for later");
  }
}

interface Parts extends Pick<ContainerWish, "pod" | "edits"> {
  readonly container: Container;
  readonly images: ContainerImages;
  readonly layers: Promise<HeldLayers>;
}

/** The layers are held until the container's mounts are made: these have them from then on. */
async function buildOnLayers(
  deps: ContainerDeps,
  call: Call,
  steps: Steps,
  { image, ...parts }: Omit<Parts, "images" | "layers"> & Pick<ContainerWish, "image">,
): Promise<{ planned: PlannedContainer; process: ProcessRef }> {
  const images = containerImages(deps, parts.container.config, image);
  const layers = holdLayers(deps, images);
  // Who plans with them is told.
  const held = layers.catch(() => null);
  try {
    return await build(deps, call, steps, { ...parts, images, layers });
  } finally {
    (await held)?.release();
  }
}

async function build(
  deps: ContainerDeps,
  call: Call,
  steps: Steps,
  parts: Parts,
): Promise<{ planned: PlannedContainer; process: ProcessRef }> {
  const { pod, container } = parts;
  const planned = await makeParts(deps, call, steps, parts);
  const { selinux } = planned.input;
  if (selinux != null && container.config.mounts.some((mount) => mount.selinuxRelabel)) {
    await steps.run("relabel", () => relabelVolumes(deps, container.config, selinux));
  }
  const monitor = requireMonitor(deps, pod.id, `create container "${container.config.metadata.name}"`);
  const filter = () => filterDevices(deps, call, steps, container, planned);
  const prepare = () => makeProcess(deps, steps, monitor, { pod, container, planned });
  if (container.runtime !== null) {
    // Hooks and runtimes are programs.
    await filter();
    return { planned, process: await prepare() };
  }
  // Nothing but the container's init runs before StartContainer.
  const [process, filtered] = await Promise.allSettled([prepare(), filter()]);
  if (filtered.status === "rejected") throw filtered.reason;
  if (process.status === "rejected") throw process.reason;
  return { planned, process: process.value };
}

async function filterDevices(
  deps: ContainerDeps,
  call: Call,
  steps: Steps,
  { cgroupPath }: Container,
  { input }: PlannedContainer,
): Promise<void> {
  const rules = deviceRules(input);
  if (rules === null) return;
  const { missingController } = deps.config;
  const target = { cgroupPath, missingController, ...deps.host };
  await steps.run("devices", () => limitDevices(deps.kernel, call.log, target, rules));
}

/** None of them needs another, and each waits for files. All have ended when this does: undo may begin. */
async function makeParts(
  deps: ContainerDeps,
  call: Call,
  steps: Steps,
  { pod, edits, container, images, layers }: Parts,
): Promise<PlannedContainer> {
  const [snapshot, cgroup, planned, logs, bundle] = await Promise.allSettled([
    steps.run("snapshot", () => makeSnapshot(deps, container.snapshot)),
    steps.run("cgroup", () => makeCgroup(deps, call, container)),
    steps.run("plan", () => planContainer(deps, pod, container, { images, layers }, edits)),
    hasOwnLog(pod, container) ? steps.run("log-dir", () => makeLogDirectory(container.logPath)) : null,
    container.runtime === null ? null : steps.run("bundle", () => makeBundle(deps, container)),
  ]);
  for (const part of [snapshot, cgroup, logs, bundle]) if (part.status === "rejected") throw part.reason;
  if (planned.status === "rejected") throw planned.reason;
  return planned.value;
}

/** Mostly in a new directory of the daemon's. Kubelets make theirs; else the monitor misses it. */
function hasOwnLog(pod: Pod, container: Container): boolean {
  return pod.config.logDirectory === "" && container.logPath !== "";
}

async function makeLogDirectory(logPath: string): Promise<void> {
  await mkdir(dirname(logPath), { recursive: true, mode: 0o755 });
}

async function makeCgroup(deps: ContainerDeps, call: Call, container: Container): Promise<void> {
  await deps.kernel.createCgroup(container.cgroupPath);
  const { resources } = container.config;
  if (resources === undefined) return;
  const target = {
    mount: await deps.kernel.cgroupMount(),
    cgroupPath: container.cgroupPath,
    available: deps.host.cgroupControllers,
    missingController: deps.config.missingController,
  };
  await applyLimits(deps.kernel, call.log, target, cgroupWrites(resources));
}
