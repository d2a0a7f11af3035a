// What pods ask of the network. `cni.ts` is the implementation.

import type { Call } from "../lib/call.ts";
import type { PodId } from "../types/ids.ts";
import type { PodConfig, PodNetwork } from "../types/pod.ts";

export interface NetworkStatus {
  readonly ready: boolean;
  readonly reason: string;
  readonly message: string;
}

export interface NetworkDriver {
  /**
   * CNI ADD of every network of the pod. What was attached is recorded before each ADD; a failure undoes
   * what was done.
   */
  setUp(call: Call, podId: PodId, netnsPath: string, config: PodConfig): Promise<PodNetwork>;
  /**
   * CNI DEL of everything recorded for the pod. Idempotent; works after a restart of the daemon and with a
   * vanished namespace.
   */
  tearDown(call: Call, podId: PodId, netnsPath: string, config: PodConfig): Promise<void>;
  /**
   * CNI CHECK of everything recorded for the pod. Returns what a plugin complains of, "" when all is well or
   * nothing was to be checked.
   */
  check(podId: PodId, netnsPath: string): Promise<string>;
  /** CNI GC: plugins give back what they hold for attachments that are not recorded. Failures are logged. */
  collectGarbage(): Promise<void>;
  status(): Promise<NetworkStatus>;
  /** Pod CIDRs pushed by the kubelet (UpdateRuntimeConfig). */
  setPodCidrs(cidrs: readonly string[]): void;
  close(): void;
}
