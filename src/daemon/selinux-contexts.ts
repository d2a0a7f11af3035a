// What the host's SELinux policy says of containers: its own file of labels for them.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { HostFacts } from "../kernel/kernel.ts";
import type { Logger } from "../lib/call.ts";
import { messageOf } from "../lib/errors.ts";

const DIRECTORY = "/etc/selinux";

/** Undefined, with a warning, where the policy knows no containers. */
export async function selinuxContexts(log: Logger): Promise<HostFacts["selinuxContexts"]> {
  try {
    const policy = settingOf(await readFile(join(DIRECTORY, "config"), "utf8"), "SELINUXTYPE");
    const contexts = await readFile(join(DIRECTORY, policy, "contexts/lxc_contexts"), "utf8");
    return { process: settingOf(contexts, "process"), file: settingOf(contexts, "file") };
  } catch (error) {
    log.warn({ error: messageOf(error) }, "SELinux is on, but its policy has no labels for containers");
    return undefined;
  }
}

/** Lines such as `process = "system_u:system_r:container_t:s0"`. */
function settingOf(text: string, key: string): string {
  const value = new RegExp(`^\\s*${key}\\s*=\\s*"?([^"\\s#]+)"?`, "m").exec(text)?.[1];
  if (value === undefined) throw new Error(`no "${key}" in the policy's files`);
  return value;
}
