import { messageOf } from "../lib/errors.ts";
import { type Context, print } from "./command.ts";
import { complain } from "./complain.ts";

/**
 * Does something to each of several objects, one after the other; prints the name of each that went well
 * and the error of each that did not. The exit code: 1 when one failed.
 */
export async function eachOf(
  context: Context,
  names: readonly string[],
  action: (name: string) => Promise<string | null>,
): Promise<number> {
  let failed = 0;
  for (const name of names) {
    try {
      const line = await action(name);
      if (line !== null) await print(context, `${line}\n`);
    } catch (error) {
      failed++;
      complain(context.stderr, messageOf(error));
    }
  }
  return failed > 0 ? 1 : 0;
}
