// Whether a pod could be attached now, and if not, what the administrator should look at.

import { join } from "node:path";
import { messageOf } from "../lib/errors.ts";
import { askStatus, missingPlugins, type PluginHost } from "./chain.ts";
import type { ConfigurationScan } from "./confdir.ts";
import type { NetworkList } from "./conflist.ts";
import type { NetworkStatus } from "./driver.ts";

/** How long one plugin may take to say how it is: the kubelet asks for the status every few seconds. */
const STATUS_TIMEOUT_MS = 5_000;

/**
 * `lists` are the networks that the next pod gets, none when there is no valid one; `directory` is the
 * scanned one.
 */
export async function networkStatus(
  host: PluginHost,
  directory: string,
  scan: ConfigurationScan,
  lists: readonly NetworkList[],
): Promise<NetworkStatus> {
  if (lists.length === 0) return notReady("InvalidCNIConfiguration", noValidFile(directory, scan));
  const origins: string[] = [];
  for (const list of lists) {
    const origin = originOf(directory, scan, list);
    origins.push(origin);
    const missing = await missingPlugins(host, list);
    if (missing.length > 0) return notReady("CNIPluginMissing", missingText(host, missing, origin));
    try {
      await askStatus({ ...host, timeoutMs: Math.min(host.timeoutMs, STATUS_TIMEOUT_MS) }, list);
    } catch (error) {
      return notReady("CNIPluginNotReady", messageOf(error));
    }
  }
  return { ready: true, reason: "", message: [origins.join(", "), ...scan.problems].join("; ignored ") };
}

/** Why no network can be chosen although there are files. */
export function noValidFile(directory: string, scan: ConfigurationScan): string {
  return `no valid CNI configuration in "${directory}": ${scan.problems.join("; ")}`;
}

export function missingText(host: PluginHost, missing: readonly string[], origin: string): string {
  const names = missing.map((name) => `"${name}"`).join(", ");
  const places = host.binDirs.map((directory) => `"${directory}"`).join(", ");
  return (
    `${origin}: CNI plugins ${names} are in none of ${places}; ` +
    "install the standard plugins (package containernetworking-plugins) or set the plugin directories"
  );
}

/** Which network, and where it comes from. */
export function originOf(directory: string, scan: ConfigurationScan, list: NetworkList): string {
  const configured = scan.networks.find((network) => network.list === list);
  if (configured !== undefined) return `network "${list.name}" from "${join(directory, configured.file)}"`;
  return `default network "${list.name}" ("${directory}" holds no CNI configuration)`;
}

export function notReady(reason: string, message: string): NetworkStatus {
  return { ready: false, reason, message };
}
