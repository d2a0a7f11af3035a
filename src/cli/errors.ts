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
