// What can be refused about a pod before anything is made.

import { BerthError } from "../lib/errors.ts";
import type { PodConfig, PortMapping } from "../types/pod.ts";

/**
 * INVALID_ARGUMENT for metadata, log directory and ports that no pod can have. The rest is checked by its
 * plan.
 */
export function validatePod(config: PodConfig, doing: string): void {
  const refuse = (why: string): never => {
    throw new BerthError("INVALID_ARGUMENT", `${doing}: ${why}`);
  };
  const { name, namespace, uid, attempt } = config.metadata;
  for (const [field, value] of Object.entries({ name, namespace, uid })) {
    if (value === "") refuse(`metadata.${field} is empty`);
    if (value.includes("\0") || Buffer.byteLength(value) > 1024) {
      refuse(`metadata.${field} holds a NUL or is longer than 1024 bytes`);
    }
  }
  if (!Number.isSafeInteger(attempt) || attempt < 0) refuse(`metadata.attempt ${attempt} is no count`);
  if (config.logDirectory !== "" && !config.logDirectory.startsWith("/")) {
    refuse(`log directory "${config.logDirectory}" is not an absolute path`);
  }
  for (const mapping of config.portMappings) {
    if (!isPortMapping(mapping)) {
      refuse(`port mapping ${mapping.hostPort}:${mapping.containerPort}: ports lie within 0 to 65535`);
    }
  }
}

/** A host port of 0 publishes nothing and must be tolerated (CRI, PortMapping). */
function isPortMapping({ containerPort, hostPort }: PortMapping): boolean {
  const isPort = (port: number) => Number.isInteger(port) && port >= 0 && port <= 65_535;
  return isPort(containerPort) && isPort(hostPort) && (hostPort === 0 || containerPort !== 0);
}
