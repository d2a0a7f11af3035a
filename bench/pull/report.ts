// The section "pull" of RESULTS.md.

import type { Samples } from "../run/samples.ts";
import type { BenchImage } from "./images.ts";
import type { PullCost } from "./measure.ts";

export interface PullReport {
  readonly samples: Samples;
  readonly subjects: readonly string[];
  readonly images: readonly BenchImage[];
  readonly facts: readonly string[];
}

const TITLES = {
  realistic: "A realistic image",
  large: "One large layer",
  small: "Fifty small layers",
} as const;

const ROWS: readonly (readonly [keyof PullCost, string, number])[] = [
  ["readySeconds", "ready, s", 2],
  ["syncedSeconds", "ready and on the disk, s", 2],
  ["cpuSeconds", "CPU of the machine, s", 1],
  ["peakMiB", "peak memory, MiB", 0],
  ["writtenMB", "written, MB", 0],
];

export const workOf = (image: BenchImage["name"], cost: keyof PullCost): string => `${image} ${cost}`;

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function ratio(samples: Samples, above: string, below: string, work: string): string {
  const [one, other] = [samples.median(above, work), samples.median(below, work)];
  return one === undefined || !other ? "–" : `${(one / other).toFixed(1)}x`;
}

function imageTable({ samples, subjects }: PullReport, image: BenchImage): string {
  const peers = subjects.filter((name) => name !== "berth" && name !== "floor");
  const head = ["medians", ...subjects, ...peers.map((peer) => `${peer} / berth`), "berth / floor"];
  const rows = ROWS.map(([cost, title, digits]) => {
    const work = workOf(image.name, cost);
    const figures = subjects.map((subject) => samples.median(subject, work)?.toFixed(digits) ?? "–");
    const ratios = peers.map((peer) => ratio(samples, peer, "berth", work));
    return [title, ...figures, ...ratios, ratio(samples, "berth", "floor", work)];
  });
  return table(head, rows);
}

function targets({ samples, images }: PullReport): string {
  const wanted = { realistic: 5, large: 2, small: 2 } as const;
  const rows = images.map(({ name }) => {
    const work = workOf(name, "readySeconds");
    const [theirs, ours] = [samples.median("containerd", work), samples.median("berth", work)];
    const verdict =
      theirs === undefined || ours === undefined
        ? "not measured"
        : theirs / ours >= wanted[name]
          ? "reached"
          : "missed";
    return [`${TITLES[name]}: ready ${wanted[name]}x sooner than containerd`, verdict];
  });
  const peaks = images.flatMap(({ name }) => samples.quantile("berth", workOf(name, "peakMiB"), 1) ?? []);
  const memory = Math.max(...peaks) < 150 ? "reached" : "missed";
  return table(["target", "in this run"], [...rows, ["peak memory of the daemon under 150 MB", memory]]);
}

/** Markdown. */
export function reportPull(report: PullReport): string {
  return [
    "## pull: images from a local registry",
    report.facts.map((fact) => `- ${fact}`).join("\n"),
    ...report.images.flatMap((image) => [
      `### ${TITLES[image.name]} (${image.facts})`,
      imageTable(report, image),
    ]),
    "### Targets",
    targets(report),
  ].join("\n\n");
}
