import type { Context } from "./command.ts";
import { UsageError } from "./errors.ts";

/** Asks on the terminal; true for "y" or "yes". Without a terminal nobody can answer: --force says yes. */
export async function confirm(context: Context, question: string): Promise<boolean> {
  if (!context.stdin.isTTY) throw new UsageError("there is no terminal to ask on: use --force");
  const { createInterface } = await import("node:readline/promises");
  const asking = createInterface({ input: context.stdin, output: context.stderr });
  try {
    return /^y(es)?$/i.test((await asking.question(`${question} [y/N] `)).trim());
  } finally {
    asking.close();
  }
}
