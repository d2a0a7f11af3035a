import type { PullRecord } from "../../gen/berth/v1/registries.ts";
import type { Parsed } from "../arguments/options.ts";
import * as methods from "../client/methods.ts";
import { type Command, type Context, print } from "../command.ts";
import { explainPull, seconds, spanOf } from "../explain-pull.ts";
import { ago, humanSize } from "../format/quantities.ts";
import { table } from "../format/table.ts";

export const command: Command = {
  usage: "[OPTIONS] [NAME[:TAG|@DIGEST]]",
  options: [{ name: "format", kind: "text", value: "json", help: "Print one JSON object a line" }],
  arity: [0, 1],
  run,
};

/** A list of all; of one image where the time of its last pull went. */
async function run(context: Context, parsed: Parsed): Promise<number> {
  const [image = ""] = parsed.positional;
  const channel = await context.channel();
  const { pulls } = await channel.unary(methods.listPulls, { image });
  const now = Date.now();
  if (parsed.text("format") === "json") {
    const plain = (_key: string, value: unknown) => (typeof value === "bigint" ? Number(value) : value);
    for (const pull of pulls) await print(context, `${JSON.stringify(pull, plain)}\n`);
  } else if (image === "") {
    const headers = ["IMAGE", "BEGAN", "STATE", "TOOK", "FETCHED", "KEPT", "LAYERS", "RETRIES"];
    await print(
      context,
      table(
        headers,
        pulls.map((pull) => rowOf(pull, now)),
      ),
    );
  } else if (pulls[0] === undefined) {
    await print(context, "The daemon has not pulled it since its start.\n");
  } else {
    await print(context, explainPull(pulls[0], now));
  }
  return 0;
}

function rowOf(pull: PullRecord, now: number): string[] {
  const sum = (field: "fetched" | "resumed") =>
    humanSize(Number(pull.layers.reduce((total, layer) => total + layer[field], 0n)));
  const state = pull.error !== "" ? "failed" : pull.endedAt === 0n ? "running" : "done";
  return [
    pull.image,
    ago(Number(pull.beganAt / 1000n), now),
    state,
    seconds(spanOf(pull, now)),
    sum("fetched"),
    sum("resumed"),
    String(pull.layers.length),
    String(pull.layers.reduce((total, { retries }) => total + retries, 0)),
  ];
}
