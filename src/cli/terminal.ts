// The user's terminal in raw mode, and always out of it again.

const RESTORING = ["SIGTERM", "SIGHUP", "SIGQUIT"] as const;

/**
 * Switches the terminal to raw mode. The returned function switches back; so does the end of the
 * process, whatever ends it.
 */
export function enterRawMode(stdin: NodeJS.ReadStream): () => void {
  stdin.setRawMode(true);
  const restore = () => {
    if (stdin.isTTY && !stdin.destroyed) stdin.setRawMode(false);
  };
  const die = (signal: NodeJS.Signals) => {
    // Signals that are forwarded to a container have another listener and do not end this process.
    if (process.listenerCount(signal) > 1) return;
    leave();
    process.kill(process.pid, signal);
  };
  const leave = () => {
    restore();
    process.off("exit", restore);
    for (const signal of RESTORING) process.off(signal, die);
  };
  process.on("exit", restore);
  for (const signal of RESTORING) process.on(signal, die);
  return leave;
}

/** Size of the terminal, or undefined when there is none. */
export function terminalSize(stdout: NodeJS.WriteStream): { rows: number; columns: number } | undefined {
  if (!stdout.isTTY || !(stdout.rows > 0) || !(stdout.columns > 0)) return undefined;
  return { rows: stdout.rows, columns: stdout.columns };
}
