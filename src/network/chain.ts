// The plugins of one network, in order, for one attachment (CNI spec, section 3).

import { type Call, throwIfAborted } from "../lib/call.ts";
import { BerthError, wrapError } from "../lib/errors.ts";
import { type AttachmentRuntime, pluginInput } from "./attachment.ts";
import { isAtLeast, type JsonObject, type NetworkList, type PluginConfig } from "./conflist.ts";
import { type CniCommand, findPlugin, invokePlugin } from "./invoke.ts";
import { parseResult } from "./result.ts";

/** Where plugins are and how long one may take. */
export interface PluginHost {
  readonly binDirs: readonly string[];
  readonly timeoutMs: number;
}

export interface Attachment {
  readonly list: NetworkList;
  readonly runtime: AttachmentRuntime;
  readonly interfaceName: string;
  /** Path of the network namespace; "" when it is gone (DEL only). */
  readonly netns: string;
}

/** The ADD of a chain that broke. `tried` plugins of the list were run, the last of them failed. */
export class ChainError extends BerthError {
  readonly tried: number;
  constructor(cause: BerthError, tried: number) {
    super(cause.code, cause.message, { cause });
    this.name = "ChainError";
    this.tried = tried;
  }
}

/** ADD of every plugin, each given the result before it. Returns the last result; rejects with ChainError. */
export async function addChain(host: PluginHost, attachment: Attachment, call: Call): Promise<JsonObject> {
  let result: JsonObject | null = null;
  let tried = 0;
  try {
    for (const plugin of attachment.list.plugins) {
      throwIfAborted(call, subjectOf(attachment));
      tried += 1;
      result = await addPlugin(host, attachment, plugin, result);
    }
  } catch (error) {
    throw new ChainError(
      error instanceof BerthError ? error : wrapError(subjectOf(attachment), error),
      tried,
    );
  }
  if (result === null) {
    throw new BerthError("FAILED_PRECONDITION", `${subjectOf(attachment)}: the network has no plugins`);
  }
  return result;
}

async function addPlugin(
  host: PluginHost,
  attachment: Attachment,
  plugin: PluginConfig,
  previous: JsonObject | null,
): Promise<JsonObject> {
  // Before 0.3.0 there were no chains.
  const known = isAtLeast(attachment.list.cniVersion, "0.3.0") ? previous : null;
  const printed = await run(host, attachment, plugin, "ADD", known);
  try {
    return parseResult(printed, attachment.list.cniVersion);
  } catch (error) {
    throw wrapError(`${subjectOf(attachment)}: CNI ADD by plugin "${plugin.type}"`, error);
  }
}

/**
 * DEL of the first `count` plugins, last one first, with the result of the ADD when there was one. Stops at
 * the first failure: those before it may rely on what it should have removed.
 */
export async function deleteChain(
  host: PluginHost,
  attachment: Attachment,
  result: JsonObject | null,
  count: number,
): Promise<void> {
  const previous = isAtLeast(attachment.list.cniVersion, "0.4.0") ? result : null;
  for (const plugin of attachment.list.plugins.slice(0, count).reverse()) {
    await run(host, attachment, plugin, "DEL", previous);
  }
}

/**
 * CHECK of every plugin (since 0.4.0) with the result of the ADD: rejects when one finds that the attachment
 * is not as it was made. Does nothing where the list forbids it.
 */
export async function checkChain(
  host: PluginHost,
  attachment: Attachment,
  result: JsonObject,
): Promise<void> {
  const { list } = attachment;
  if (list.disableCheck || !isAtLeast(list.cniVersion, "0.4.0")) return;
  for (const plugin of list.plugins) await run(host, attachment, plugin, "CHECK", result);
}

/** STATUS of every plugin (since 1.1.0): rejects when one says that an ADD would fail. */
export async function askStatus(host: PluginHost, list: NetworkList): Promise<void> {
  if (!isAtLeast(list.cniVersion, "1.1.0")) return;
  for (const plugin of list.plugins) {
    await runForNetwork(host, list, "STATUS", plugin.type, pluginInput(list, plugin, {}, null));
  }
}

/** An attachment as GC is told of it. */
export interface ValidAttachment {
  readonly containerID: string;
  readonly ifname: string;
}

/**
 * GC of every plugin (since 1.1.0): what they hold for attachments that are not among `valid` is given back.
 * Every plugin has its turn (CNI spec, section 4); returns what failed.
 */
export async function collectChain(
  host: PluginHost,
  list: NetworkList,
  valid: readonly ValidAttachment[],
): Promise<unknown[]> {
  if (list.disableGC || !isAtLeast(list.cniVersion, "1.1.0")) return [];
  const failures: unknown[] = [];
  for (const plugin of list.plugins) {
    // The second name stood in the text of the specification for a while; plugins read either.
    const keys = { "cni.dev/valid-attachments": valid, "cni.dev/attachments": valid };
    const input = pluginInput(list, { ...plugin, config: { ...plugin.config, ...keys } }, {}, null);
    await runForNetwork(host, list, "GC", plugin.type, input).catch((error: unknown) => failures.push(error));
  }
  return failures;
}

function runForNetwork(
  host: PluginHost,
  list: NetworkList,
  command: CniCommand,
  plugin: string,
  input: string,
): Promise<string> {
  const subject = `network "${list.name}"`;
  return invokePlugin({ ...host, command, plugin, environment: {}, input, subject });
}

/** Plugins of the list, and those that they call for addresses, that are in none of the directories. */
export async function missingPlugins(host: PluginHost, list: NetworkList): Promise<string[]> {
  const names = list.plugins.flatMap((plugin) => [plugin.type, plugin.ipamType]);
  const wanted = [...new Set(names.filter((name) => name !== ""))];
  const found = await Promise.all(wanted.map((name) => findPlugin(name, host.binDirs)));
  return wanted.filter((_, index) => found[index] === null);
}

function run(
  host: PluginHost,
  attachment: Attachment,
  plugin: PluginConfig,
  command: CniCommand,
  previous: JsonObject | null,
): Promise<string> {
  const { list, runtime } = attachment;
  return invokePlugin({
    command,
    plugin: plugin.type,
    binDirs: host.binDirs,
    environment: {
      CNI_CONTAINERID: runtime.containerId,
      CNI_NETNS: attachment.netns,
      CNI_IFNAME: attachment.interfaceName,
      CNI_ARGS: runtime.args,
    },
    input: pluginInput(list, plugin, runtime.capabilities, previous),
    timeoutMs: host.timeoutMs,
    subject: subjectOf(attachment),
  });
}

function subjectOf(attachment: Attachment): string {
  return `network "${attachment.list.name}" of pod "${attachment.runtime.pod}"`;
}
