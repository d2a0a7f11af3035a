/** Rows in columns, as docker prints them: no borders, three spaces between, headers in capitals. */
export function table(headers: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [headers, ...rows.map((row) => row.map(harmless))];
  const widths = headers.map((_, column) =>
    Math.max(7, ...all.map((row) => [...(row[column] ?? "")].length)),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) =>
        column === row.length - 1 ? cell : cell + padding(cell, widths[column] as number),
      )
      .join("")
      .trimEnd();
  return `${all.map(line).join("\n")}\n`;
}

function padding(cell: string, width: number): string {
  return " ".repeat(width + 3 - [...cell].length);
}

/** Names and commands come from images: no cell may move the cursor of the reader's terminal. */
export function harmless(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) => {
    const known: Record<string, string> = { "\n": "\\n", "\t": "\\t", "\r": "\\r" };
    return known[character] ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}
