/** An error that ends the command with a message and an exit code. */
export class CliError extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode = 1) {
    super(message);
    this.name = "CliError";
    this.exitCode = exitCode;
  }
}

/** A wrong command line: the message is followed by where to find help. */
export class UsageError extends CliError {
  constructor(message: string, exitCode = 1) {
    super(message, exitCode);
    this.name = "UsageError";
  }
}

/** Everything was said already; only the exit code is left. */
export class SilentExit extends CliError {
  constructor(exitCode: number) {
    super("", exitCode);
    this.name = "SilentExit";
  }
}
