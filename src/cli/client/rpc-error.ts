import type { ErrorCode } from "../../lib/errors.ts";

/** Names of the gRPC status codes by number (google.rpc.Code). */
const CODES = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

export type RpcCode = ErrorCode | "OUT_OF_RANGE" | "UNAUTHENTICATED";

/** A call that the daemon answered with an error, or that never reached it (UNAVAILABLE). */
export class RpcError extends Error {
  readonly code: RpcCode;
  /** Symbolic errno of the system call that failed in the daemon, or "". */
  readonly errno: string;
  /** The primitive that failed ("execve"), or "". */
  readonly step: string;
  constructor(code: RpcCode, message: string, kernel: { errno?: string; step?: string } = {}) {
    super(message);
    this.name = "RpcError";
    this.code = code;
    this.errno = kernel.errno ?? "";
    this.step = kernel.step ?? "";
  }
}

type Headers = Record<string, string | string[] | undefined>;

/** The error that trailers tell of, or null for "grpc-status: 0". */
export function errorOfTrailers(trailers: Headers): RpcError | null {
  const number = Number(trailers["grpc-status"] ?? "2");
  if (number === 0) return null;
  const name = CODES[number] ?? "UNKNOWN";
  const message = unescapeMessage(text(trailers["grpc-message"]));
  return new RpcError(
    name === "OK" ? "UNKNOWN" : name,
    message === "" ? `the call failed: ${name}` : message,
    {
      errno: text(trailers["berth-errno"]),
      step: text(trailers["berth-step"]),
    },
  );
}

function text(value: string | string[] | undefined): string {
  return Array.isArray(value) ? (value[0] ?? "") : (value ?? "");
}

/** grpc-message is percent-encoded UTF-8; whatever is not stays as it is. */
function unescapeMessage(message: string): string {
  try {
    return decodeURIComponent(message);
  } catch {
    return message;
  }
}
