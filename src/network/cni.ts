// The network driver that speaks CNI. What a pod is attached to is recorded before the first plugin
// runs and forgotten after the last DEL succeeded; in between any crash leaves a row to clean up by.

import { statfs } from "node:fs/promises";
import { type Call, type Logger, throwIfAborted } from "../lib/call.ts";
import { BerthError, errnoOf, messageOf, wrapError } from "../lib/errors.ts";
import { KeyedMutex, SingleFlight } from "../lib/single-flight.ts";
import {
  attachmentsOfPod,
  deleteAttachment,
  insertAttachment,
  loadPodCidrs,
  type NetworkAttachment,
  saveAttachmentResult,
  savePodCidrs,
} from "../store/attachments.ts";
import type { Store } from "../store/open.ts";
import type { NetworkConfig } from "../types/config.ts";
import type { PodId } from "../types/ids.ts";
import type { PodConfig, PodNetwork } from "../types/pod.ts";
import { attachmentRuntime, parseRuntime, publishedPorts } from "./attachment.ts";
import {
  type Attachment,
  addChain,
  ChainError,
  deleteChain,
  missingPlugins,
  type PluginHost,
} from "./chain.ts";
import { ConfigurationDirectory, type ConfigurationScan } from "./confdir.ts";
import { type JsonObject, type NetworkList, parseNetworkList, serialiseNetworkList } from "./conflist.ts";
import { checkCidr, defaultBridge, defaultNetwork } from "./default-network.ts";
import type { NetworkDriver, NetworkStatus } from "./driver.ts";
import { addressesOf } from "./result.ts";
import { missingText, networkStatus, notReady, noValidFile, originOf } from "./status.ts";

export interface CniDriverDeps {
  readonly config: NetworkConfig;
  readonly store: Store;
  readonly log: Logger;
  /** How long one plugin may take. Default 60 s. */
  readonly pluginTimeoutMs?: number | undefined;
}

const interfaceName = "eth0";
const defaultPluginTimeoutMs = 60_000;
/** statfs type of a file that is a namespace (linux/magic.h). */
const nsfsMagic = 0x6e736673;

/** The driver begins to watch the configuration directory; close() ends that. */
export function makeCniDriver(deps: CniDriverDeps): NetworkDriver {
  return new CniDriver(deps);
}

class CniDriver implements NetworkDriver {
  readonly #config: NetworkConfig;
  readonly #store: Store;
  readonly #log: Logger;
  readonly #host: PluginHost;
  readonly #directory: ConfigurationDirectory;
  readonly #pods = new KeyedMutex();
  readonly #statuses = new SingleFlight<NetworkStatus>();
  #podCidrs: readonly string[];

  constructor(deps: CniDriverDeps) {
    this.#config = deps.config;
    this.#store = deps.store;
    this.#log = deps.log;
    this.#host = {
      binDirs: deps.config.cniBinDirs,
      timeoutMs: deps.pluginTimeoutMs ?? defaultPluginTimeoutMs,
    };
    this.#podCidrs = loadPodCidrs(deps.store);
    const path = deps.config.cniConfDir;
    this.#directory = new ConfigurationDirectory(
      path,
      (scan) => this.#report(scan),
      (error) =>
        this.#log.warn({ directory: path, error: messageOf(error) }, "cannot watch CNI configuration"),
    );
    this.#directory.current().catch((error) => {
      this.#log.error({ directory: path, error: messageOf(error) }, "cannot read CNI configuration");
    });
  }

  setUp(call: Call, podId: PodId, netnsPath: string, config: PodConfig): Promise<PodNetwork> {
    return this.#pods.run(podId, async () => {
      const runtime = attachmentRuntime(podId, config);
      const list = await this.#networkFor(config);
      throwIfAborted(call, `network of pod "${runtime.pod}"`);
      this.#record(podId, list, JSON.stringify(runtime), runtime.pod);
      return this.#add(call, podId, { list, runtime, interfaceName, netns: netnsPath });
    });
  }

  /** Goes on when the caller went away: what is held must be given back. */
  tearDown(_call: Call, podId: PodId, netnsPath: string): Promise<void> {
    return this.#pods.run(podId, async () => {
      const rows = attachmentsOfPod(this.#store, podId);
      if (rows.length === 0) return;
      const netns = await liveNetns(netnsPath);
      for (const row of rows.reverse()) {
        const { attachment, result } = readRow(row, netns);
        await deleteChain(this.#host, attachment, result, attachment.list.plugins.length);
        deleteAttachment(this.#store, podId, row.position);
      }
    });
  }

  status(): Promise<NetworkStatus> {
    return this.#statuses.run("", async () => {
      try {
        const scan = await this.#directory.current();
        return await networkStatus(this.#host, this.#config.cniConfDir, scan, this.#choose(scan, true));
      } catch (error) {
        return notReady("CNIConfigurationUnreadable", messageOf(error));
      }
    });
  }

  setPodCidrs(cidrs: readonly string[]): void {
    const given = cidrs.map((cidr) => cidr.trim()).filter((cidr) => cidr !== "");
    for (const cidr of given) checkCidr(cidr);
    // An empty push takes nothing back: the pods' addresses come from what was pushed before.
    if (given.length === 0 || given.join() === this.#podCidrs.join()) return;
    savePodCidrs(this.#store, given);
    this.#podCidrs = given;
    this.#log.info({ podCidrs: given }, "pod CIDRs set");
  }

  close(): void {
    this.#directory.close();
  }

  /** The network for a new pod, its plugins known to exist. */
  async #networkFor(config: PodConfig): Promise<NetworkList> {
    const scan = await this.#directory.current();
    const directory = this.#config.cniConfDir;
    const list = this.#choose(scan, publishedPorts(config.portMappings).length > 0);
    if (list === null) throw new BerthError("FAILED_PRECONDITION", noValidFile(directory, scan));
    const missing = await missingPlugins(this.#host, list);
    if (missing.length > 0) {
      const origin = originOf(directory, scan, list);
      throw new BerthError("FAILED_PRECONDITION", missingText(this.#host, missing, origin));
    }
    return list;
  }

  /** Files that are all invalid are somebody's intent: the default network does not stand in for them. */
  #choose(scan: ConfigurationScan, publishesPorts: boolean): NetworkList | null {
    if (scan.list !== null || scan.files.length > 0) return scan.list;
    return defaultNetwork({
      subnet: this.#config.defaultSubnet,
      podCidrs: this.#podCidrs,
      bridge: this.#config.bridgeName ?? defaultBridge,
      publishesPorts,
    });
  }

  #record(podId: PodId, list: NetworkList, runtime: string, pod: string): void {
    if (attachmentsOfPod(this.#store, podId).length > 0) {
      throw new BerthError(
        "FAILED_PRECONDITION",
        `network of pod "${pod}": pod ${podId} is attached already; stop it first`,
      );
    }
    const config = serialiseNetworkList(list);
    const network = list.name;
    insertAttachment(this.#store, {
      podId,
      position: 0,
      network,
      interfaceName,
      config,
      runtime,
      result: null,
    });
  }

  async #add(call: Call, podId: PodId, attachment: Attachment): Promise<PodNetwork> {
    let result: JsonObject | null = null;
    try {
      result = await addChain(this.#host, attachment, call);
      const ips = addressesOf(result, interfaceName);
      saveAttachmentResult(this.#store, podId, 0, JSON.stringify(result));
      return { ips };
    } catch (error) {
      const tried = error instanceof ChainError ? error.tried : attachment.list.plugins.length;
      await this.#undo(podId, attachment, result, tried, error);
      throw this.#describe(attachment, error);
    }
  }

  /** When a DEL fails as well the row stays, and with it the duty to try again. */
  async #undo(
    podId: PodId,
    attachment: Attachment,
    result: JsonObject | null,
    tried: number,
    cause: unknown,
  ): Promise<void> {
    try {
      await deleteChain(this.#host, attachment, result, tried);
      deleteAttachment(this.#store, podId, 0);
    } catch (error) {
      this.#log.error({ podId, error: messageOf(error), cause: messageOf(cause) }, "undo of CNI ADD failed");
    }
  }

  #describe(attachment: Attachment, error: unknown): unknown {
    if (error instanceof ChainError) return error;
    return wrapError(`network "${attachment.list.name}" of pod "${attachment.runtime.pod}"`, error);
  }

  #report(scan: ConfigurationScan): void {
    const directory = this.#config.cniConfDir;
    const network = scan.list?.name ?? (scan.files.length === 0 ? "berth's default network" : "none");
    const fields = { directory, file: scan.file, network, problems: scan.problems };
    if (scan.problems.length > 0) this.#log.warn(fields, "CNI configuration has invalid files");
    else this.#log.info(fields, "CNI configuration read");
  }
}

function readRow(
  row: NetworkAttachment,
  netns: string,
): { attachment: Attachment; result: JsonObject | null } {
  const list = parseNetworkList(row.config);
  const runtime = parseRuntime(row.runtime);
  const result = row.result === null ? null : (JSON.parse(row.result) as JsonObject);
  return { attachment: { list, runtime, interfaceName: row.interfaceName, netns }, result };
}

/** The path when a namespace is pinned there, else "": an empty CNI_NETNS tells plugins (CNI spec, DEL). */
async function liveNetns(path: string): Promise<string> {
  if (path === "") return "";
  try {
    const facts = await statfs(path);
    return facts.type === nsfsMagic ? path : "";
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return "";
    throw wrapError(`look at network namespace "${path}"`, error);
  }
}
