import type { ImageSummary } from "../../gen/berth/v1/engine.ts";
import type { Parsed } from "../arguments/options.ts";
import * as methods from "../client/methods.ts";
import { type Command, type Context, print } from "../command.ts";
import { ago, humanSize } from "../format/quantities.ts";
import { familiar, shortId, splitTag } from "../format/references.ts";
import { formatListing, type Row } from "../format/template.ts";

export const command: Command = {
  usage: "[OPTIONS] [REPOSITORY[:TAG]]",
  options: [
    { name: "quiet", short: "q", kind: "flag", help: "Show ids only" },
    { name: "digests", kind: "flag", help: "Show digests" },
    { name: "no-trunc", kind: "flag", help: "Show everything in full" },
    {
      name: "all",
      short: "a",
      kind: "flag",
      help: "Accepted for docker's sake: berth shows all of them anyway",
    },
    { name: "format", kind: "text", value: "string", help: '"table", "json", or a text such as "{{.ID}}"' },
  ],
  arity: [0, 1],
  run,
};

const COLUMNS = [
  ["REPOSITORY", "Repository"],
  ["TAG", "Tag"],
  ["IMAGE ID", "ID"],
  ["CREATED", "CreatedSince"],
  ["SIZE", "Size"],
] as const;
const KEYS = [...COLUMNS.map(([, key]) => key), "Digest", "CreatedAt", "Type"];

async function run(context: Context, parsed: Parsed): Promise<number> {
  const [wanted] = parsed.positional;
  const full = parsed.flag("no-trunc");
  const channel = await context.channel();
  const { images } = await channel.unary(methods.listImages, {});
  const rows = images
    .flatMap((image) => imageRows(image, Date.now(), full))
    .filter((row) => fits(row, wanted));
  if (parsed.flag("quiet")) {
    const ids = new Set(rows.map((row) => row.ID));
    await print(context, [...ids].map((id) => `${id}\n`).join(""));
    return 0;
  }
  const columns: (readonly [string, string])[] = [...COLUMNS];
  // Only with artifacts: else the table is docker's.
  if (rows.some((row) => row.Type !== IMAGE)) columns.push(["TYPE", "Type"]);
  if (parsed.flag("digests")) columns.splice(2, 0, ["DIGEST", "Digest"]);
  await print(context, formatListing({ rows, columns, keys: KEYS }, parsed.text("format")));
  return 0;
}

const NONE = "<none>";
const IMAGE = "image";

/** A row for each tag of the image, or one without tags. `now` in milliseconds since the epoch. */
export function imageRows(image: ImageSummary, now: number, full: boolean): Row[] {
  const digests = image.repoDigests.map((reference) => reference.split("@") as [string, string]);
  const names = image.repoTags.map((tag) => splitTag(tag));
  if (names.length === 0) names.push({ repository: digests[0]?.[0] ?? NONE, tag: NONE });
  const created = Number(image.createdMs);
  return names.map(({ repository, tag }) => ({
    Repository: familiar(repository),
    Tag: tag,
    ID: full ? image.id : shortId(image.id),
    Digest: digests.find(([name]) => name === repository)?.[1] ?? NONE,
    CreatedSince: ago(created, now),
    CreatedAt: created === 0 ? "" : new Date(created).toISOString(),
    Size: humanSize(Number(image.size)),
    Type: image.artifactType || IMAGE,
  }));
}

function fits(row: Row, wanted: string | undefined): boolean {
  if (wanted === undefined) return true;
  const { repository, tag } = splitTag(wanted);
  return row.Repository === familiar(repository) && (tag === "" || row.Tag === tag);
}
