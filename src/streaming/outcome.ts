// How a process ended, as the error stream tells it (Kubernetes, remotecommand protocol v4; metav1.Status).

import { messageOf } from "../lib/errors.ts";

export type Outcome = { readonly exitCode: number } | { readonly error: unknown };

/** Empty when there is nothing to tell. Before version 4 it is plain text, and success says nothing. */
export function outcomeMessage(outcome: Outcome, version: number): string {
  if ("error" in outcome) return version < 4 ? messageOf(outcome.error) : failed(messageOf(outcome.error));
  const { exitCode } = outcome;
  if (exitCode === 0) return version < 4 ? "" : JSON.stringify({ metadata: {}, status: "Success" });
  const message = `command terminated with exit code ${exitCode}`;
  if (version < 4) return message;
  return JSON.stringify({
    metadata: {},
    status: "Failure",
    message,
    reason: "NonZeroExitCode",
    details: { causes: [{ reason: "ExitCode", message: String(exitCode) }] },
  });
}

function failed(message: string): string {
  return JSON.stringify({
    metadata: {},
    status: "Failure",
    message,
    reason: "InternalError",
    details: { causes: [{ message }] },
    code: 500,
  });
}
