// The process object of config.json, which `exec --process` reads as well.

import type { HostFacts } from "../kernel/kernel.ts";
import { BerthError } from "../lib/errors.ts";
import type { ContainerSecurity, ProcessUser } from "../types/container.ts";
import type { ByteString } from "../types/ids.ts";
import type { OciProcess } from "../types/oci-runtime.ts";
import { capabilityList, capabilitySets } from "./capabilities.ts";
import { appArmorProfile } from "./confinement.ts";
import { UMASK } from "./identity.ts";
import { processLimits } from "./limits.ts";

export interface OciProcessInput {
  readonly args: readonly string[];
  readonly env: readonly ByteString[];
  readonly cwd: string;
  readonly terminal: boolean;
  /** Size of the terminal, when it is known. */
  readonly console?: { readonly rows: number; readonly columns: number } | undefined;
  readonly user: ProcessUser;
  readonly security: ContainerSecurity;
  readonly privileged: boolean;
  readonly noNewPrivs?: boolean | undefined;
  readonly host: HostFacts;
  /** SELinux label; "" or absent: none. */
  readonly selinuxLabel?: string | undefined;
}

/** INVALID_ARGUMENT for an environment that is no UTF-8: JSON cannot hold it. */
export function ociProcess(input: OciProcessInput): OciProcess {
  const { security, privileged, user, host } = input;
  const sets = capabilitySets(security, privileged, user.uid, host);
  const profile = appArmorProfile({ ...security, privileged }, host);
  const size = input.console;
  const sized = size !== undefined && size.rows > 0 && size.columns > 0;
  return {
    terminal: input.terminal,
    ...(sized ? { consoleSize: { height: size.rows, width: size.columns } } : {}),
    user: { uid: user.uid, gid: user.gid, umask: UMASK, additionalGids: [...user.groups] },
    args: [...input.args],
    env: input.env.map(textOf),
    cwd: input.cwd,
    capabilities: {
      bounding: capabilityList(sets.bounding),
      effective: capabilityList(sets.effective),
      permitted: capabilityList(sets.permitted),
      inheritable: capabilityList(sets.inheritable),
      ambient: capabilityList(sets.ambient),
    },
    // The others are set before the runtime begins, where they can be clamped to what the host allows. This
    // one some runtimes raise for themselves.
    rlimits: processLimits(host)
      .filter((limit) => limit.name === "RLIMIT_NOFILE")
      .map(({ name, soft, hard }) => ({ type: name, soft, hard })),
    noNewPrivileges: input.noNewPrivs ?? security.noNewPrivs,
    ...(profile === null ? {} : { apparmorProfile: profile }),
    ...(input.selinuxLabel ? { selinuxLabel: input.selinuxLabel } : {}),
  };
}

function textOf(entry: ByteString): string {
  const bytes = Buffer.from(entry, "latin1");
  const text = bytes.toString("utf8");
  if (Buffer.from(text, "utf8").equals(bytes)) return text;
  const name = entry.slice(0, entry.indexOf("="));
  throw new BerthError(
    "INVALID_ARGUMENT",
    `environment variable ${JSON.stringify(name)}: not UTF-8, which an OCI runtime cannot be given; ` +
      "use the native handler",
  );
}
