// What a container of `berth run` may do.

import {
  LinuxContainerSecurityContext,
  SecurityProfile_ProfileType as ProfileType,
  SecurityProfile,
} from "../../gen/runtime/v1/api.ts";
import type { Parsed } from "../arguments/options.ts";
import { UsageError } from "../errors.ts";

/** Paths that tell of the host, or control it: docker's list. */
const MASKED_PATHS = [
  "/proc/asound",
  "/proc/acpi",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/sys/firmware",
  "/sys/devices/virtual/powercap",
];
const READONLY_PATHS = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/** The security context that the options set. @throws UsageError */
export function security(parsed: Parsed): LinuxContainerSecurityContext {
  const privileged = parsed.flag("privileged");
  const options = securityOptions(parsed.list("security-opt"));
  return LinuxContainerSecurityContext.fromPartial({
    capabilities: {
      addCapabilities: parsed.list("cap-add").map(capability),
      dropCapabilities: parsed.list("cap-drop").map(capability),
    },
    privileged,
    ...userOf(parsed.text("user") ?? ""),
    readonlyRootfs: parsed.flag("read-only"),
    supplementalGroups: parsed.list("group-add").map((group) => {
      if (!/^\d{1,10}$/.test(group)) {
        throw new UsageError(`invalid value "${group}" for --group-add: give the group's number`, 125);
      }
      return BigInt(group);
    }),
    noNewPrivs: options.noNewPrivs,
    maskedPaths: privileged ? [] : MASKED_PATHS,
    readonlyPaths: privileged ? [] : READONLY_PATHS,
    seccomp: options.seccomp,
    apparmor: options.apparmor,
  });
}

/** "NET_ADMIN", as the CRI wants it, of "CAP_NET_ADMIN" or "net_admin". */
function capability(name: string): string {
  return name.toUpperCase().replace(/^CAP_/, "");
}

function userOf(user: string) {
  if (user === "") return {};
  const [name = "", group, ...more] = user.split(":");
  if (name === "" || more.length > 0) {
    throw new UsageError(`invalid value "${user}" for --user: expected user[:gid]`, 125);
  }
  if (group !== undefined && !/^\d{1,10}$/.test(group)) {
    throw new UsageError(`invalid value "${user}" for --user: give the group's number, not its name`, 125);
  }
  return {
    ...(/^\d{1,10}$/.test(name) ? { runAsUser: { value: BigInt(name) } } : { runAsUsername: name }),
    ...(group === undefined ? {} : { runAsGroup: { value: BigInt(group) } }),
  };
}

interface SecurityOptions {
  noNewPrivs: boolean;
  seccomp: SecurityProfile;
  apparmor?: SecurityProfile;
}

function securityOptions(options: readonly string[]): SecurityOptions {
  const found: SecurityOptions = { noNewPrivs: false, seccomp: profile(ProfileType.RuntimeDefault) };
  for (const option of options) {
    const [, key = "", value] = /^([a-z-]+)(?:[=:](.*))?$/.exec(option) ?? [];
    const known = Object.hasOwn(SECURITY_OPTIONS, key) ? SECURITY_OPTIONS[key] : undefined;
    if (known === undefined || !known(found, value)) {
      throw new UsageError(
        `invalid value "${option}" for --security-opt: there are no-new-privileges, seccomp=unconfined, ` +
          "seccomp=PROFILE, apparmor=unconfined, apparmor=PROFILE",
        125,
      );
    }
  }
  return found;
}

/** Each applies one option; false when its value is wrong. */
const SECURITY_OPTIONS: Readonly<
  Record<string, (found: SecurityOptions, value: string | undefined) => boolean>
> = {
  "no-new-privileges": (found, value = "true") => {
    found.noNewPrivs = value === "true";
    return value === "true" || value === "false";
  },
  seccomp: (found, value = "") => {
    found.seccomp = named(value);
    return value !== "";
  },
  apparmor: (found, value = "") => {
    found.apparmor = named(value);
    return value !== "";
  },
};

function named(name: string): SecurityProfile {
  if (name === "unconfined") return profile(ProfileType.Unconfined);
  if (name === "builtin" || name === "runtime/default") return profile(ProfileType.RuntimeDefault);
  return profile(ProfileType.Localhost, name);
}

function profile(profileType: ProfileType, localhostRef = ""): SecurityProfile {
  return SecurityProfile.fromPartial({ profileType, localhostRef });
}
