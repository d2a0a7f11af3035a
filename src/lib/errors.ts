// The one error shape. A verb throws BerthError; the edges turn `code` into a gRPC status and print
// the message once. Wording: say what was being done and to which object, then the cause, then what
// to do next when there is something to do.

/** Names of the gRPC status codes that berth uses (google.rpc.Code). */
export type ErrorCode =
  | "CANCELLED"
  | "UNKNOWN"
  | "INVALID_ARGUMENT"
  | "DEADLINE_EXCEEDED"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "PERMISSION_DENIED"
  | "RESOURCE_EXHAUSTED"
  | "FAILED_PRECONDITION"
  | "ABORTED"
  | "UNIMPLEMENTED"
  | "INTERNAL"
  | "UNAVAILABLE"
  | "DATA_LOSS";

export class BerthError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "BerthError";
    this.code = code;
  }
}

/** A system call that failed in the addon or the monitor: which step, which errno, which path. */
export class KernelError extends BerthError {
  /** The primitive that failed, such as "mkdirat" or "clone3". */
  readonly step: string;
  /** Symbolic errno, such as "ENOSPC". */
  readonly errno: string;
  readonly path: string;
  constructor(step: string, errno: string, path: string) {
    super(codeOfErrno(errno), path === "" ? `${step}: ${errno}` : `${step} "${path}": ${errno}`);
    this.name = "KernelError";
    this.step = step;
    this.errno = errno;
    this.path = path;
  }
}

function codeOfErrno(errno: string): ErrorCode {
  switch (errno) {
    case "ENOENT":
      return "NOT_FOUND";
    case "ENOSPC":
    case "EDQUOT":
    case "EMFILE":
    case "ENFILE":
    case "ENOMEM":
      return "RESOURCE_EXHAUSTED";
    case "ECANCELED":
      return "CANCELLED";
    default:
      return "INTERNAL";
  }
}

/** Wraps `cause` with what was being done; keeps the code of a BerthError. */
export function wrapError(doing: string, cause: unknown, code?: ErrorCode): BerthError {
  return new BerthError(code ?? codeOf(cause), `${doing}: ${messageOf(cause)}`, { cause });
}

/** The code of whatever was thrown: a full disk is told apart, everything unknown is INTERNAL. */
export function codeOf(error: unknown): ErrorCode {
  if (error instanceof BerthError) return error.code;
  return isDiskFull(error) ? "RESOURCE_EXHAUSTED" : "INTERNAL";
}

/** Of Node's file system, or of SQLite. */
function isDiskFull(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return code === "ENOSPC" || code === "EDQUOT" || code === "SQLITE_FULL";
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The symbolic errno of a Node or kernel error, or undefined. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof KernelError) return error.errno;
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" && /^E[A-Z0-9]+$/.test(code) ? code : undefined;
}
