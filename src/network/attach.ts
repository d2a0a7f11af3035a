// What is recorded about a pod's networks and what plugins do about it. A row is written before the first
// plugin of any network runs and forgotten after the last DEL succeeded; in between any crash leaves rows to
// clean up by.

import { statfs } from "node:fs/promises";
import type { Call, Logger } from "../lib/call.ts";
import { BerthError, errnoOf, messageOf, wrapError } from "../lib/errors.ts";
import {
  allAttachments,
  attachmentsOfPod,
  deleteAttachment,
  insertAttachments,
  type NetworkAttachment,
  saveAttachmentResult,
} from "../store/attachments.ts";
import type { Store } from "../store/open.ts";
import type { PodId } from "../types/ids.ts";
import type { PodNetwork } from "../types/pod.ts";
import { parseRuntime } from "./attachment.ts";
import {
  type Attachment,
  addChain,
  ChainError,
  checkChain,
  collectChain,
  deleteChain,
  type PluginHost,
} from "./chain.ts";
import { type JsonObject, type NetworkList, parseNetworkList, serialiseNetworkList } from "./conflist.ts";
import { addressesOf, requireAddresses } from "./result.ts";

export interface AttachDeps {
  readonly host: PluginHost;
  readonly store: Store;
  readonly log: Logger;
}

/** statfs type of a file that is a namespace (linux/magic.h). */
const nsfsMagic = 0x6e736673;
/** While garbage is collected no pod is attached: one plugin may take no longer than this. */
const GC_TIMEOUT_MS = 10_000;

/** Writes down that the pod is about to be attached. FAILED_PRECONDITION when it is already. */
export function recordAttachments(store: Store, podId: PodId, attachments: readonly Attachment[]): void {
  if (attachmentsOfPod(store, podId).length > 0) {
    const pod = attachments[0]?.runtime.pod ?? "";
    throw new BerthError(
      "FAILED_PRECONDITION",
      `network of pod "${pod}": pod ${podId} is attached already; stop it first`,
    );
  }
  const rows = attachments.map(({ list, runtime, interfaceName }, position) => ({
    podId,
    position,
    network: list.name,
    interfaceName,
    config: serialiseNetworkList(list),
    runtime: JSON.stringify(runtime),
    result: null,
  }));
  insertAttachments(store, rows);
}

/**
 * ADD of every network, in order. Only the first has to give an address; the CRI shows only its addresses.
 * When one fails, it and those before it are undone.
 */
export async function attach(
  deps: AttachDeps,
  call: Call,
  podId: PodId,
  attachments: readonly Attachment[],
): Promise<PodNetwork> {
  const interfaces: { name: string; network: string; ips: string[] }[] = [];
  for (const [position, attachment] of attachments.entries()) {
    const { interfaceName, list } = attachment;
    let result: JsonObject | null = null;
    try {
      result = await addChain(deps.host, attachment, call);
      const addresses = position === 0 ? requireAddresses : addressesOf;
      interfaces.push({ name: interfaceName, network: list.name, ips: addresses(result, interfaceName) });
      saveAttachmentResult(deps.store, podId, position, JSON.stringify(result));
    } catch (error) {
      const tried = error instanceof ChainError ? error.tried : list.plugins.length;
      for (let later = position + 1; later < attachments.length; later++) {
        deleteAttachment(deps.store, podId, later);
      }
      await undo(deps, podId, { position, attachment, result, tried }, error);
      throw describe(attachment, error);
    }
  }
  return { ips: interfaces[0]?.ips ?? [], interfaces };
}

interface Broken {
  readonly position: number;
  readonly attachment: Attachment;
  readonly result: JsonObject | null;
  readonly tried: number;
}

/** When a DEL fails as well its row stays, and with it the duty to try again. */
async function undo(deps: AttachDeps, podId: PodId, broken: Broken, cause: unknown): Promise<void> {
  try {
    await deleteChain(deps.host, broken.attachment, broken.result, broken.tried);
    deleteAttachment(deps.store, podId, broken.position);
    await detach(deps, podId, broken.attachment.netns);
  } catch (error) {
    deps.log.error({ podId, error: messageOf(error), cause: messageOf(cause) }, "undo of CNI ADD failed");
  }
}

function describe(attachment: Attachment, error: unknown): unknown {
  if (error instanceof ChainError) return error;
  return wrapError(`network "${attachment.list.name}" of pod "${attachment.runtime.pod}"`, error);
}

/**
 * DEL of everything recorded for the pod, the last network first. One that fails does not keep the others;
 * rejects then, with what the first said.
 */
export async function detach(deps: AttachDeps, podId: PodId, netnsPath: string): Promise<void> {
  const rows = attachmentsOfPod(deps.store, podId);
  if (rows.length === 0) return;
  const netns = await liveNetns(netnsPath);
  const failures: unknown[] = [];
  for (const row of rows.reverse()) {
    try {
      const { attachment, result } = readRow(row, netns);
      await deleteChain(deps.host, attachment, result, attachment.list.plugins.length);
      deleteAttachment(deps.store, podId, row.position);
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}

/** CHECK of everything recorded for the pod whose ADD was completed. Returns the first complaint, or "". */
export async function checkAttachments(deps: AttachDeps, podId: PodId, netnsPath: string): Promise<string> {
  const rows = attachmentsOfPod(deps.store, podId);
  const netns = rows.length === 0 ? "" : await liveNetns(netnsPath);
  for (const row of rows) {
    if (netns === "") return `network namespace "${netnsPath}" is gone`;
    try {
      const { attachment, result } = readRow(row, netns);
      if (result !== null) await checkChain(deps.host, attachment, result);
    } catch (error) {
      return messageOf(error);
    }
  }
  return "";
}

/**
 * GC of the configured networks and of those that pods were attached to before the configuration changed.
 * Nobody may be attached meanwhile: an ADD that is not recorded yet would be garbage.
 */
export async function collectGarbage(deps: AttachDeps, configured: readonly NetworkList[]): Promise<void> {
  const rows = allAttachments(deps.store);
  const lists = new Map(configured.map((list) => [list.name, list]));
  for (const row of rows) {
    if (!lists.has(row.network)) lists.set(row.network, parseNetworkList(row.config));
  }
  const host = { ...deps.host, timeoutMs: Math.min(deps.host.timeoutMs, GC_TIMEOUT_MS) };
  for (const [name, list] of lists) {
    const own = rows.filter((row) => row.network === name);
    const valid = own.map((row) => ({ containerID: row.podId, ifname: row.interfaceName }));
    for (const error of await collectChain(host, list, valid)) {
      deps.log.warn({ network: name, error: messageOf(error) }, "CNI garbage collection failed");
    }
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
