// Runs critest, the validation suite of the CRI, to its end and reads its report. Runs on plain Node, so that
// the virtual machine of the system tests can do the same.

import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";

export interface Spec {
  /** The suite's containers and the spec, as ginkgo joins them for its focus: with single spaces. */
  readonly name: string;
  readonly state: "passed" | "failed" | "skipped";
  readonly ms: number;
  /** Why it failed or was skipped. */
  readonly message: string;
  /** What it wrote on its way: only of a spec that failed. */
  readonly output: string;
}

export interface SuiteOptions {
  /** The critest binary; ginkgo lies beside it. */
  readonly critest: string;
  readonly socket: string;
  /** Processes that run specs side by side; specs that are marked as serial run alone. */
  readonly parallel?: number;
  /** Regular expressions over the names of specs. */
  readonly focus?: string;
  readonly skip?: readonly string[];
  /** Further flags of critest. */
  readonly flags?: readonly string[];
  /** After that the suite is interrupted, and later killed. */
  readonly patienceMs: number;
}

export interface SuiteRun {
  readonly specs: readonly Spec[];
  /** What the suite wrote, its end: for when there is no report. */
  readonly log: string;
}

const LOG_CHARACTERS = 20_000;
const DRY_RUN_MS = 60_000;
/** For an interrupted suite to undo what it did, and to report. */
const GRACE_MS = 60_000;

interface SpecReport {
  LeafNodeType: string;
  ContainerHierarchyTexts: string[] | null;
  LeafNodeText: string;
  State: string;
  RunTime: number;
  Failure?: { Message?: string; Location?: { FileName?: string; LineNumber?: number } };
  CapturedGinkgoWriterOutput?: string;
}

const FAILED = ["failed", "aborted", "panicked", "interrupted", "timedout"];

function specOf(report: SpecReport): Spec {
  const { State, Failure, RunTime, CapturedGinkgoWriterOutput = "" } = report;
  const failed = FAILED.includes(State);
  const { FileName = "", LineNumber = 0 } = Failure?.Location ?? {};
  const where = FileName === "" ? "" : `\nat ${FileName.replace(/^.*cri-tools@[^/]*\//, "")}:${LineNumber}`;
  return {
    name: [...(report.ContainerHierarchyTexts ?? []), report.LeafNodeText].join(" "),
    state: State === "passed" ? "passed" : failed ? "failed" : "skipped",
    ms: Math.round(RunTime / 1e6),
    message: `${Failure?.Message ?? ""}${failed ? `${where} (${State})` : ""}`.trim(),
    output: failed ? CapturedGinkgoWriterOutput : "",
  };
}

/** The specs of a ginkgo report in JSON, without those that the suite's own filters left out. */
export function readReport(text: string): Spec[] {
  const suites = JSON.parse(text) as { SpecReports: SpecReport[] | null }[];
  const reports = suites.flatMap(({ SpecReports }) => SpecReports ?? []);
  // A failed BeforeSuite has no name and is no spec, but must not be lost.
  const counted = reports.filter(
    ({ LeafNodeType, State }) => LeafNodeType === "It" || FAILED.includes(State),
  );
  return counted
    .map((report) =>
      specOf(report.LeafNodeType === "It" ? report : { ...report, LeafNodeText: report.LeafNodeType }),
    )
    .filter(({ state, message }) => state !== "skipped" || message !== "");
}

function run(command: string, args: readonly string[], cwd: string, patienceMs: number): Promise<string> {
  // critest looks for ginkgo in PATH, and leaves directories behind where it makes temporary ones.
  const PATH = [dirname(command), process.env.PATH ?? ""].join(delimiter);
  const TMPDIR = join(cwd, "tmp");
  mkdirSync(TMPDIR);
  // Root of a pod's user namespace passes them on its way to its mounts.
  for (const path of [cwd, TMPDIR]) chmodSync(path, 0o711);
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, PATH, TMPDIR },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      log = (log + text).slice(-LOG_CHARACTERS);
    });
  }
  const end = () => {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  };
  const late = setTimeout(end, patienceMs + GRACE_MS);
  process.once("exit", end);
  return new Promise<string>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => resolve(log));
  }).finally(() => {
    clearTimeout(late);
    process.removeListener("exit", end);
  });
}

/** The names of all specs, benchmarks aside, without running any. */
export async function specNames(critest: string): Promise<string[]> {
  const options = { critest, socket: "/nonexistent", patienceMs: DRY_RUN_MS, flags: ["-ginkgo.dry-run"] };
  return (await runSuite(options)).specs.map(({ name }) => name).sort();
}

/**
 * Runs the suite. Specs that it did not come to are failures in the report. Rejects, with the end of what it
 * wrote, when it left no report.
 */
export async function runSuite(options: SuiteOptions): Promise<SuiteRun> {
  const { critest, socket, parallel = 1, focus, skip = [], flags = [], patienceMs } = options;
  const folder = mkdtempSync(join(tmpdir(), "critest-"));
  const endpoint = `unix://${socket}`;
  const args = [
    `-runtime-endpoint=${endpoint}`,
    `-image-endpoint=${endpoint}`,
    // Not the machine's own.
    `-config=${join(folder, "crictl.yaml")}`,
    // Without it the suite runs in one process; ginkgo takes "=1" for a mistake.
    ...(parallel > 1 ? [`-parallel=${parallel}`] : []),
    `-ginkgo.json-report=${join(folder, "report.json")}`,
    "-ginkgo.no-color",
    `-ginkgo.timeout=${patienceMs}ms`,
    ...(focus === undefined ? [] : [`-ginkgo.focus=${focus}`]),
    ...skip.map((pattern) => `-ginkgo.skip=${pattern}`),
    ...flags,
  ];
  try {
    const log = await run(critest, args, folder, patienceMs);
    try {
      return { specs: readReport(readFileSync(join(folder, "report.json"), "utf8")), log };
    } catch (error) {
      throw new Error(`critest left no report (${error instanceof Error ? error.message : error}):\n${log}`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
