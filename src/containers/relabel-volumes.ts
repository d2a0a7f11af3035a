// SELinux labels of volumes: the kubelet asks for a container's own label on those that nothing else uses.

import { mkdir } from "node:fs/promises";
import { BerthError, wrapError } from "../lib/errors.ts";
import type { SelinuxLabels } from "../spec/selinux.ts";
import type { ContainerConfig } from "../types/container.ts";
import type { ContainerDeps } from "./deps.ts";

/** Directories of the system itself: relabelled, the host would not boot any more. */
const OF_THE_SYSTEM = new Set([
  ...["/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib32", "/lib64", "/media", "/mnt", "/opt"],
  ...["/proc", "/root", "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var", "/var/lib", "/var/log"],
]);

/**
 * Gives the volumes that ask for it (Mount.selinux_relabel) the label of the container's files. A missing one
 * is made first, as it would be later. A file system without labels is fine (cri-api, Mount).
 */
export async function relabelVolumes(
  deps: ContainerDeps,
  config: Pick<ContainerConfig, "mounts">,
  labels: SelinuxLabels,
): Promise<void> {
  for (const { hostPath, selinuxRelabel } of config.mounts) {
    if (!selinuxRelabel || hostPath === "") continue;
    if (OF_THE_SYSTEM.has(hostPath.replace(/(?<=.)\/+$/, ""))) {
      const why = "it is a directory of the system";
      throw new BerthError("INVALID_ARGUMENT", `relabel volume "${hostPath}": ${why}`);
    }
    try {
      await deps.kernel.relabel(hostPath, labels.mount).catch(async (error) => {
        if ((error as { errno?: unknown }).errno !== "ENOENT") throw error;
        await mkdir(hostPath, { recursive: true, mode: 0o755 });
        await deps.kernel.relabel(hostPath, labels.mount);
      });
    } catch (error) {
      throw wrapError(`relabel volume "${hostPath}"`, error);
    }
  }
}
