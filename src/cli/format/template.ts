// --format: "json", "table", or a text with placeholders such as "{{.ID}}\t{{.Names}}".

import { UsageError } from "../errors.ts";
import { harmless, table } from "./table.ts";

/** One row of a listing: what JSON and placeholders call a column, and its value. */
export type Row = Readonly<Record<string, string>>;

export interface Listing {
  readonly rows: readonly Row[];
  /** Columns of the table: header and the key of the row. */
  readonly columns: readonly (readonly [header: string, key: string])[];
  readonly keys: readonly string[];
}

/** The listing in the format that the user asked for. @throws UsageError for a placeholder that no row has */
export function formatListing(listing: Listing, format: string | undefined): string {
  if (format === undefined || format === "table") {
    return table(
      listing.columns.map(([header]) => header),
      listing.rows.map((row) => listing.columns.map(([, key]) => row[key] ?? "")),
    );
  }
  if (format === "json" || format === "{{json .}}") {
    return listing.rows.map((row) => `${JSON.stringify(row)}\n`).join("");
  }
  const template = format.replaceAll("\\t", "\t").replaceAll("\\n", "\n");
  return listing.rows.map((row) => `${fill(template, row, listing.keys)}\n`).join("");
}

function fill(template: string, row: Row, keys: readonly string[]): string {
  return template.replace(/\{\{(.*?)\}\}/g, (_, expression: string) => {
    const key = /^\s*\.(\w+)\s*$/.exec(expression)?.[1];
    if (key === undefined || !keys.includes(key)) {
      const known = keys.map((name) => `{{.${name}}}`).join(" ");
      throw new UsageError(
        `--format: cannot understand "{{${expression}}}"; there are: json, table, ${known}`,
      );
    }
    return harmless(row[key] ?? "");
  });
}
