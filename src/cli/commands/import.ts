import { open } from "node:fs/promises";
import type { ImportImageRequest, ImportImageResponse } from "../../gen/berth/v1/images.ts";
import { messageOf } from "../../lib/errors.ts";
import type { Parsed } from "../arguments/options.ts";
import type { RpcCall } from "../client/call.ts";
import * as methods from "../client/methods.ts";
import { type Command, type Context, print } from "../command.ts";
import { CliError, UsageError } from "../errors.ts";

export const command: Command = {
  usage: "[OPTIONS] FILE|- [REPOSITORY[:TAG]]",
  options: [
    {
      name: "change",
      short: "c",
      kind: "list",
      value: "list",
      help: 'Dockerfile instruction for the image\'s config, such as CMD ["/bin/sh"] or ENV A=1',
    },
    { name: "message", short: "m", kind: "text", value: "string", help: "A remark in the image's history" },
  ],
  arity: [1, 2],
  run,
};

const BLOCK = 256 * 1024;

async function run(context: Context, parsed: Parsed): Promise<number> {
  const [path = "", reference = ""] = parsed.positional;
  if (path === "-" && context.stdin.isTTY) throw new UsageError("no tar to import: pipe one in");
  const source = path === "-" ? context.stdin : await openTar(path);
  const head = { reference, changes: [...parsed.list("change")], message: parsed.text("message") ?? "" };
  const channel = await context.channel();
  const call = channel.call(methods.importImage);
  let failure: unknown;
  const sending = send(call, head, source).catch((error) => {
    failure = new CliError(`read "${path}": ${messageOf(error)}`);
    call.cancel();
  });
  let answer: ImportImageResponse | undefined;
  for await (const response of call.responses()) answer = response;
  if (failure !== undefined) throw failure;
  if (answer === undefined) await sending;
  await print(context, `${answer?.imageId ?? ""}\n`);
  return 0;
}

async function openTar(path: string): Promise<AsyncIterable<Buffer>> {
  try {
    const file = await open(path, "r");
    return file.createReadStream({ highWaterMark: BLOCK });
  } catch (error) {
    throw new CliError(`open "${path}": ${messageOf(error)}`);
  }
}

async function send(
  call: RpcCall<ImportImageRequest, ImportImageResponse>,
  head: Omit<ImportImageRequest, "data">,
  source: AsyncIterable<Buffer>,
): Promise<void> {
  call.write({ ...head, data: Buffer.alloc(0) });
  for await (const data of source) {
    if (!call.write({ reference: "", changes: [], message: "", data })) await call.drained();
  }
  call.end();
}
