// Compilation of seccomp rules through the addon.

import type { SeccompKernel } from "./kernel.ts";
import { rethrow } from "./native-error.ts";

/** [index, op, value, valueTwo] */
type NativeArgument = [number, string, bigint, bigint];
/** [names, action, errno, args] */
type NativeRule = [readonly string[], string, number, NativeArgument[]];

/** The door of addon/binding/seccomp.cc. */
export interface SeccompNative {
  compileSeccomp(
    defaultAction: string,
    defaultErrno: number,
    architectures: readonly string[],
    rules: readonly NativeRule[],
  ): Promise<Uint8Array>;
}

/** Rejects with KernelError; its path is then the action, operator or call that libseccomp refused. */
export function makeSeccompKernel(native: SeccompNative): SeccompKernel {
  return {
    compileSeccomp: (rules) => {
      const nativeRules = rules.rules.map((rule): NativeRule => {
        const args = rule.args.map((arg): NativeArgument => [arg.index, arg.op, arg.value, arg.valueTwo]);
        return [rule.names, rule.action, rule.errno, args];
      });
      return native
        .compileSeccomp(rules.defaultAction, rules.defaultErrno, rules.architectures, nativeRules)
        .catch(rethrow);
    },
  };
}
