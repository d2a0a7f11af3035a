// Exit codes of programs that could not be started, as shells and docker give them.

import { RpcError } from "./client/rpc-error.ts";

/** 127: no such program; 126: there, but not executable; 125: everything else. */
export function exitCodeOfFailure(error: unknown): number {
  if (!(error instanceof RpcError)) return 125;
  const program = /: exec(?:ute)? (?:"[^"]*"|its program): (.*)$/s.exec(error.message)?.[1];
  if (program === undefined) return 125;
  const missing = error.errno === "ENOENT" || /no such file|not found|ENOENT|ENOTDIR/.test(program);
  return missing ? 127 : 126;
}
