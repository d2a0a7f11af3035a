// ARCHITECTURE.md is read by the rules: tables and lists between "<!-- name -->" and "<!-- end -->".

export function section(document: string, name: string): string {
  const start = document.indexOf(`<!-- ${name} -->`);
  const end = document.indexOf("<!-- end -->", start);
  if (start < 0 || end < 0)
    throw new Error(`ARCHITECTURE.md has no section "<!-- ${name} -->" … "<!-- end -->"`);
  return document.slice(start, end);
}

export interface Allowed {
  readonly folder: string;
  readonly typesOnly: boolean;
}

/** Folder (or single file) to what it may import; null stands for everything. */
export type LayerTable = ReadonlyMap<string, readonly Allowed[] | null>;

export function readLayers(document: string, name: string): LayerTable {
  const table = new Map<string, readonly Allowed[] | null>();
  for (const line of section(document, name).split("\n")) {
    const [, folder, cell] = /^\| `([^`]+)` \|(.*)\|$/.exec(line) ?? [];
    if (folder === undefined || cell === undefined) continue;
    const allowed = [...cell.matchAll(/`([^`]+)`( \(types\))?/g)];
    const list = allowed.map((match) => ({ folder: match[1] ?? "", typesOnly: match[2] !== undefined }));
    table.set(folder, cell.trim() === "everything" ? null : list);
  }
  return table;
}
