// The network driver that speaks CNI: which networks a pod gets, and when plugins may run. What they do and
// what is recorded of it is attach.ts.

import { type Call, type Logger, throwIfAborted } from "../lib/call.ts";
import { BerthError, messageOf } from "../lib/errors.ts";
import { KeyedMutex, SingleFlight } from "../lib/single-flight.ts";
import { loadPodCidrs, savePodCidrs } from "../store/attachments.ts";
import type { Store } from "../store/open.ts";
import type { NetworkConfig } from "../types/config.ts";
import type { PodId } from "../types/ids.ts";
import type { PodConfig, PodNetwork } from "../types/pod.ts";
import {
  type AttachDeps,
  attach,
  checkAttachments,
  collectGarbage,
  detach,
  recordAttachments,
} from "./attach.ts";
import { attachmentRuntime, publishedPorts, withoutPorts } from "./attachment.ts";
import { type Attachment, missingPlugins } from "./chain.ts";
import { ConfigurationDirectory, type ConfigurationScan } from "./confdir.ts";
import type { NetworkList } from "./conflist.ts";
import { checkCidr, defaultBridge, defaultNetwork } from "./default-network.ts";
import type { NetworkDriver, NetworkStatus } from "./driver.ts";
import { Gate } from "./gate.ts";
import { missingText, networkStatus, notReady, noValidFile, originOf } from "./status.ts";

export interface CniDriverDeps {
  readonly config: NetworkConfig;
  readonly store: Store;
  readonly log: Logger;
}

/** Pod annotation of the command line: "none" is a pod with nothing but its loopback interface. */
const NETWORK_ANNOTATION = "berth.network";

/** The driver begins to watch the configuration directory; close() ends that. */
export function makeCniDriver(deps: CniDriverDeps): NetworkDriver {
  return new CniDriver(deps);
}

class CniDriver implements NetworkDriver {
  readonly #config: NetworkConfig;
  readonly #store: Store;
  readonly #log: Logger;
  readonly #attachDeps: AttachDeps;
  readonly #gate = new Gate();
  readonly #directory: ConfigurationDirectory;
  readonly #pods = new KeyedMutex();
  readonly #statuses = new SingleFlight<NetworkStatus>();
  #podCidrs: readonly string[];

  constructor(deps: CniDriverDeps) {
    this.#config = deps.config;
    this.#store = deps.store;
    this.#log = deps.log;
    const { cniBinDirs, pluginTimeoutMs } = deps.config;
    const host = { binDirs: cniBinDirs, timeoutMs: pluginTimeoutMs };
    this.#attachDeps = { host, store: deps.store, log: deps.log };
    this.#podCidrs = loadPodCidrs(deps.store);
    const path = deps.config.cniConfDir;
    this.#directory = new ConfigurationDirectory(
      path,
      deps.config.maxNetworks,
      (scan) => this.#report(scan),
      (error) =>
        this.#log.warn({ directory: path, error: messageOf(error) }, "cannot watch CNI configuration"),
    );
    this.#directory.current().catch((error) => {
      this.#log.error({ directory: path, error: messageOf(error) }, "cannot read CNI configuration");
    });
  }

  async setUp(call: Call, podId: PodId, netnsPath: string, config: PodConfig): Promise<PodNetwork> {
    if (wantsNone(config)) return { ips: [] };
    const work = async () => {
      const attachments = await this.#attachmentsFor(podId, netnsPath, config);
      throwIfAborted(call, `network of pod "${config.metadata.namespace}/${config.metadata.name}"`);
      recordAttachments(this.#store, podId, attachments);
      return attach(this.#attachDeps, call, podId, attachments);
    };
    return await this.#gate.pass(() => this.#pods.run(podId, work));
  }

  /** Goes on when the caller went away: what is held must be given back. */
  tearDown(_call: Call, podId: PodId, netnsPath: string): Promise<void> {
    return this.#pods.run(podId, () => detach(this.#attachDeps, podId, netnsPath));
  }

  check(podId: PodId, netnsPath: string): Promise<string> {
    return this.#pods.run(podId, () => checkAttachments(this.#attachDeps, podId, netnsPath));
  }

  async collectGarbage(): Promise<void> {
    const { networks } = await this.#directory.current();
    const lists = networks.map(({ list }) => list);
    await this.#gate.alone(() => collectGarbage(this.#attachDeps, lists));
  }

  status(): Promise<NetworkStatus> {
    return this.#statuses.run("", async () => {
      try {
        const scan = await this.#directory.current();
        const lists = this.#choose(scan, true);
        return await networkStatus(this.#attachDeps.host, this.#config.cniConfDir, scan, lists);
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

  async #attachmentsFor(podId: PodId, netns: string, config: PodConfig): Promise<Attachment[]> {
    const first = attachmentRuntime(podId, config, this.#podCidrs);
    const lists = await this.#networksFor(config);
    return lists.map((list, position) => {
      const runtime = position === 0 ? first : withoutPorts(first);
      return { list, runtime, interfaceName: `eth${position}`, netns };
    });
  }

  /** The networks for a new pod, their plugins known to exist. */
  async #networksFor(config: PodConfig): Promise<readonly NetworkList[]> {
    const scan = await this.#directory.current();
    const directory = this.#config.cniConfDir;
    const lists = this.#choose(scan, publishedPorts(config.portMappings).length > 0);
    if (lists.length === 0) throw new BerthError("FAILED_PRECONDITION", noValidFile(directory, scan));
    for (const list of lists) {
      const missing = await missingPlugins(this.#attachDeps.host, list);
      if (missing.length === 0) continue;
      const origin = originOf(directory, scan, list);
      throw new BerthError("FAILED_PRECONDITION", missingText(this.#attachDeps.host, missing, origin));
    }
    return lists;
  }

  /** Files that are all invalid are somebody's intent: the default network does not stand in for them. */
  #choose(scan: ConfigurationScan, publishesPorts: boolean): readonly NetworkList[] {
    if (scan.files.length > 0) return scan.networks.map(({ list }) => list);
    const { defaultSubnet, defaultSubnetV6 } = this.#config;
    const list = defaultNetwork({
      subnets: defaultSubnetV6 === "" ? [defaultSubnet] : [defaultSubnet, defaultSubnetV6],
      podCidrs: this.#podCidrs,
      bridge: this.#config.bridgeName ?? defaultBridge,
      publishesPorts,
    });
    return [list];
  }

  #report(scan: ConfigurationScan): void {
    const directory = this.#config.cniConfDir;
    const names = scan.networks.map(({ list }) => list.name);
    const networks = scan.files.length === 0 ? ["berth's default network"] : names;
    const files = scan.networks.map(({ file }) => file);
    const fields = { directory, files, networks, problems: scan.problems };
    if (scan.problems.length > 0) this.#log.warn(fields, "CNI configuration has invalid files");
    else this.#log.info(fields, "CNI configuration read");
  }
}

function wantsNone(config: PodConfig): boolean {
  const wanted = config.annotations[NETWORK_ANNOTATION];
  if (wanted === undefined || wanted === "none") return wanted === "none";
  throw new BerthError(
    "INVALID_ARGUMENT",
    `annotation "${NETWORK_ANNOTATION}" is ${JSON.stringify(wanted)}: only "none" is known`,
  );
}
