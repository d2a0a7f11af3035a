// Seccomp rules as config.json has them.

import type { SeccompRules } from "../kernel/kernel.ts";
import type { OciSeccomp } from "../types/oci-runtime.ts";

const RETURNS_ERRNO = new Set(["SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"]);

export function ociSeccomp(rules: SeccompRules): OciSeccomp {
  return {
    defaultAction: rules.defaultAction,
    ...(RETURNS_ERRNO.has(rules.defaultAction) ? { defaultErrnoRet: rules.defaultErrno } : {}),
    architectures: [...rules.architectures],
    syscalls: rules.rules.map(({ names, action, errno, args }) => ({
      names: [...names],
      action,
      ...(RETURNS_ERRNO.has(action) ? { errnoRet: errno } : {}),
      args: args.map(({ index, value, valueTwo, op }) => ({
        index,
        value: Number(value),
        valueTwo: Number(valueTwo),
        op,
      })),
    })),
  };
}
