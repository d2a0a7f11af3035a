import { open, stat } from "node:fs/promises";
import type { LoadImageRequest, LoadImageResponse } from "../../gen/berth/v1/engine.ts";
import { messageOf } from "../../lib/errors.ts";
import type { Parsed } from "../arguments/options.ts";
import type { RpcCall } from "../client/call.ts";
import * as methods from "../client/methods.ts";
import { type Command, type Context, print } from "../command.ts";
import { CliError, UsageError } from "../errors.ts";

export const command: Command = {
  usage: "[OPTIONS]",
  options: [
    {
      name: "input",
      short: "i",
      kind: "text",
      value: "string",
      help: "Read a tar file or a layout directory (default: standard input)",
    },
    { name: "quiet", short: "q", kind: "flag", help: "Print ids only" },
  ],
  arity: [0, 0],
  run,
};

const BLOCK = 256 * 1024;

async function run(context: Context, parsed: Parsed): Promise<number> {
  const path = parsed.text("input");
  if (path === undefined && context.stdin.isTTY) {
    throw new UsageError("no tar to load: name one with -i, or pipe one in");
  }
  const source = path === undefined ? context.stdin : await openTar(path);
  const channel = await context.channel();
  const call = channel.call(methods.loadImage);
  let failure: unknown;
  const sending = send(call, source).catch((error) => {
    failure = new CliError(
      `read ${path === undefined ? "standard input" : `"${path}"`}: ${messageOf(error)}`,
    );
    call.cancel();
  });
  let answer: LoadImageResponse | undefined;
  for await (const response of call.responses()) answer = response;
  if (failure !== undefined) throw failure;
  // The daemon has answered: what it did not want to read need not be sent.
  if (answer === undefined) await sending;
  for (const { imageId, references } of answer?.images ?? []) {
    if (parsed.flag("quiet")) await print(context, `${imageId}\n`);
    else if (references.length === 0) await print(context, `Loaded image ID: ${imageId}\n`);
    else await print(context, references.map((reference) => `Loaded image: ${reference}\n`).join(""));
  }
  return 0;
}

async function openTar(path: string): Promise<AsyncIterable<Buffer>> {
  try {
    if ((await stat(path)).isDirectory()) {
      const { packLayout } = await import("../layout-directory.ts");
      return packLayout(path);
    }
    const file = await open(path, "r");
    return file.createReadStream({ highWaterMark: BLOCK });
  } catch (error) {
    throw new CliError(`open "${path}": ${messageOf(error)}`);
  }
}

async function send(
  call: RpcCall<LoadImageRequest, LoadImageResponse>,
  source: AsyncIterable<Buffer>,
): Promise<void> {
  for await (const data of source) {
    if (!call.write({ data })) await call.drained();
  }
  call.end();
}
