// The section "start" of RESULTS.md.

import type { Samples } from "../run/samples.ts";
import type { MemoryPoint } from "./memory.ts";

export interface StartReport {
  readonly samples: Samples;
  /** Names of the subjects that took part, berth first. */
  readonly subjects: readonly string[];
  readonly memory: ReadonlyMap<string, readonly MemoryPoint[]>;
  /** Sentences about the run: machine, versions, how it was done. */
  readonly facts: readonly string[];
}

const CRI_CALLS = [
  "RunPodSandbox",
  "CreateContainer",
  "StartContainer",
  "StopContainer(0)",
  "RemoveContainer",
  "StopPodSandbox",
  "RemovePodSandbox",
];

const NETWORKS = [
  ["host", "Pod on the host's network"],
  ["bridge", "Pod on a bridge (berth's default network; the same CNI list for containerd)"],
] as const;

const BARE = [
  ["create + start", "create + start"],
  ["run to the end", "create + start + exit seen + remove, of `true`"],
  ["exec", "exec of `true`, after a pause"],
  ["exec in a row", "exec of `true`, in a row"],
  ["kill + remove", "kill + remove"],
] as const;

export const milliseconds = (value: number): string => (value < 10 ? value.toFixed(2) : value.toFixed(1));

export function cell(samples: Samples, subject: string, work: string): string {
  const median = samples.median(subject, work);
  const high = samples.quantile(subject, work, 0.95);
  if (median === undefined || high === undefined) return "–";
  return `${milliseconds(median)} (${milliseconds(high)})`;
}

function ratio(samples: Samples, peer: string, work: string): string {
  const [theirs, ours] = [samples.median(peer, work), samples.median("berth", work)];
  return theirs === undefined || ours === undefined ? "–" : `${(theirs / ours).toFixed(1)}x`;
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** One row per work: the figure of every subject, then each peer's median divided by berth's. */
function comparison(
  report: StartReport,
  subjects: readonly string[],
  works: readonly (readonly [string, string])[],
) {
  const { samples } = report;
  const peers = subjects.filter((subject) => subject !== "berth");
  const head = ["ms, median (p95)", ...subjects, ...peers.map((peer) => `${peer} / berth`)];
  const rows = works.map(([work, title]) => [
    title,
    ...subjects.map((subject) => cell(samples, subject, work)),
    ...peers.map((peer) => ratio(samples, peer, work)),
  ]);
  return table(head, rows);
}

function criTables(report: StartReport): string[] {
  const subjects = report.subjects.filter((subject) => subject === "berth" || subject === "containerd");
  return NETWORKS.flatMap(([network, title]) => {
    const works = CRI_CALLS.map((call) => [`${call}, ${network}`, call] as const);
    return [`### ${title}`, comparison(report, subjects, works)];
  });
}

function memoryTable({ memory }: StartReport): string {
  const points = [...memory.values()][0] ?? [];
  const head = [
    "PSS, MiB",
    ...points.map(({ pods }) => (pods === 0 ? "idle" : pods === 1 ? "1 pod" : `${pods} pods`)),
  ];
  const mebibytes = (value: number | undefined) => (value === undefined ? "–" : (value / 1024).toFixed(2));
  const rows = [...memory].flatMap(([subject, list]) => [
    [`${subject}: daemon`, ...list.map(({ daemonKiB }) => mebibytes(daemonKiB))],
    [
      subject === "berth" ? "berth: monitor, per pod" : `${subject}: shim and pause process, per pod`,
      ...list.map(({ perPodKiB }) => mebibytes(perPodKiB)),
    ],
  ]);
  return table(head, rows);
}

function targets({ samples, memory }: StartReport): string {
  const exec = samples.median("berth", "exec");
  const start = samples.median("berth", "create + start");
  const run = samples.median("crun", "run to the end");
  const monitors = (memory.get("berth") ?? []).flatMap(({ perPodKiB }) => perPodKiB ?? []);
  const largest = Math.max(...monitors);
  const verdict = (reached: boolean | null) =>
    reached === null ? "not measured" : reached ? "reached" : "missed";
  const rows = [
    ["exec of `true` through the CRI under 5 ms", verdict(exec === undefined ? null : exec < 5)],
    [
      "create + start faster than `crun run` of `true`",
      verdict(start === undefined || run === undefined ? null : start < run),
    ],
    ["monitor under 1 MiB per pod", verdict(monitors.length === 0 ? null : largest < 1024)],
  ];
  return table(["target (medians)", "in this run"], rows);
}

/** Markdown. */
export function reportStart(report: StartReport): string {
  return [
    "## start: pods, containers, execs, memory",
    report.facts.map((fact) => `- ${fact}`).join("\n"),
    ...criTables(report),
    "### One container, beside the bare OCI runtimes",
    comparison(report, report.subjects, BARE),
    "### Memory",
    memoryTable(report),
    "### Targets",
    targets(report),
  ].join("\n\n");
}
