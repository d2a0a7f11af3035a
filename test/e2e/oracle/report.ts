// Reports of the probe, without what differs from one container to the next.

import { readlinkSync } from "node:fs";

export type Report = Readonly<Record<string, unknown>>;

/** Not the same twice, whoever makes the container. */
const PER_CONTAINER = ["pid", "ppid", "process_group", "session", "pids_by_namespace", "session_keyring"];

function hostNamespace(name: string): string {
  return /\[(\d+)\]/.exec(readlinkSync(`/proc/self/ns/${name}`))?.[1] ?? "";
}

/** Lists in an order of their own; inodes of namespaces as "host" or "own"; numbers of pipes left out. */
export function comparable(report: Report): Report {
  const entries = Object.entries(report).flatMap(([key, value]): [string, unknown][] => {
    if (PER_CONTAINER.includes(key)) return [];
    if (key.startsWith("namespace_")) {
      return [[key, value === hostNamespace(key.slice("namespace_".length)) ? "host" : "own"]];
    }
    if (!Array.isArray(value)) return [[key, value]];
    const lines = (value as string[]).map((line) => line.replace(/:\[\d+\]/, ""));
    // The hierarchies of cgroup v1 are not the container's.
    if (key === "cgroup") {
      // An exec has a child cgroup of its own.
      const own = lines
        .filter((line) => line.startsWith("0::"))
        .map((line) => line.replace(/\/x-\S+$/, "/x-"));
      return [[key, own]];
    }
    // Every pod has its own.
    if (key === "addresses")
      return [[key, lines.map((line) => line.replace(/\d+\.\d+\.\d+\.\d+$|\S+:\S+$/, "address")).sort()]];
    return [[key, lines.sort()]];
  });
  return Object.fromEntries(entries);
}

export interface Difference {
  readonly field: string;
  /** What only one of them has; of lists line by line. */
  readonly native: readonly string[];
  readonly foreign: readonly string[];
}

export function differences(native: Report, foreign: Report): Difference[] {
  const fields = [...new Set([...Object.keys(native), ...Object.keys(foreign)])].sort();
  return fields.flatMap((field) => {
    const [a, b] = [linesOf(native[field]), linesOf(foreign[field])];
    const [onlyA, onlyB] = [without(a, b), without(b, a)];
    return onlyA.length + onlyB.length === 0 ? [] : [{ field, native: onlyA, foreign: onlyB }];
  });
}

function linesOf(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [JSON.stringify(value)];
}

/** Each occurrence counts. */
function without(lines: readonly string[], other: readonly string[]): string[] {
  const rest = [...other];
  return lines.filter((line) => {
    const at = rest.indexOf(line);
    if (at >= 0) rest.splice(at, 1);
    return at < 0;
  });
}
