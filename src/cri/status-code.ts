// Errors of verbs as gRPC statuses. Clients decide by the code: NOT_FOUND is "gone" to a kubelet,
// DEADLINE_EXCEEDED of ExecSync is a failed probe, UNIMPLEMENTED switches a fallback on.

import { status } from "@grpc/grpc-js";
import { codeOf, messageOf } from "../lib/errors.ts";

export interface RpcFailure {
  readonly code: status;
  readonly details: string;
}

// The kubelet looks for these words at the beginning of a message, and only when the code is UNKNOWN.
const PULL_TOKENS = /^(RegistryUnavailable|SignatureValidationFailed)/;

// The message travels in a header, in which every byte that is not ASCII takes three.
const MAX_MESSAGE_CHARACTERS = 4096;

/** The status of `error`, which `method` ("PullImage") ended with. */
export function failureOf(method: string, error: unknown): RpcFailure {
  const details = headerText(messageOf(error));
  if (method === "PullImage" && PULL_TOKENS.test(details)) return { code: status.UNKNOWN, details };
  return { code: status[codeOf(error)], details };
}

/** Lone surrogates would make the percent-encoding of the header throw. */
function headerText(message: string): string {
  const shortened =
    message.length <= MAX_MESSAGE_CHARACTERS ? message : `${message.slice(0, MAX_MESSAGE_CHARACTERS)}…`;
  return shortened.toWellFormed();
}
