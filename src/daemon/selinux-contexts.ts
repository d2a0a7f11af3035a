// What the host's SELinux policy says of containers: its own file of labels for them.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { HostFacts } from "../kernel/kernel.ts";
import type { Logger } from "../lib/call.ts";
import { errnoOf, messageOf } from "../lib/errors.ts";

const DIRECTORY = "/etc/selinux";
/** Takes a label that the loaded policy knows, and refuses any other (EINVAL). */
const JUDGE = "/sys/fs/selinux/context";

/** Undefined, with a warning, where the policy knows no containers. */
export async function selinuxContexts(log: Logger): Promise<HostFacts["selinuxContexts"]> {
  try {
    const policy = settingOf(await readFile(join(DIRECTORY, "config"), "utf8"), "SELINUXTYPE");
    const text = await readFile(join(DIRECTORY, policy, "contexts/lxc_contexts"), "utf8");
    const contexts = { process: settingOf(text, "process"), file: settingOf(text, "file") };
    // Some policies have the file, but not the types that it names.
    await Promise.all(Object.values(contexts).map(checkLabel));
    return contexts;
  } catch (error) {
    const problem = "SELinux is on, but its policy has no labels for containers: they run without";
    log.warn({ error: messageOf(error) }, problem);
    return undefined;
  }
}

/** Lines such as `process = "system_u:system_r:container_t:s0"`. */
function settingOf(text: string, key: string): string {
  const value = new RegExp(`^\\s*${key}\\s*=\\s*"?([^"\\s#]+)"?`, "m").exec(text)?.[1];
  if (value === undefined) throw new Error(`no "${key}" in the policy's files`);
  return value;
}

async function checkLabel(label: string): Promise<void> {
  await writeFile(JUDGE, `${label}\0`, { flag: "r+" }).catch((error) => {
    throw new Error(`the loaded policy does not know "${label}": ${errnoOf(error) ?? messageOf(error)}`);
  });
}
