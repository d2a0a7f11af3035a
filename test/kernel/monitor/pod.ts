// A pod with a real monitor, over roots made of the static probe: what the tests of this folder start from.

import { randomBytes } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { afterEach } from "vitest";
import { loadKernel } from "../../../src/kernel/binding.ts";
import type { HostFacts, Kernel } from "../../../src/kernel/kernel.ts";
import { makeMonitorDriver } from "../../../src/monitor/connect.ts";
import type { Monitor, PrepareRequest, StreamSession } from "../../../src/monitor/monitor.ts";
import { containerCgroup, makePaths, monitorCgroup, type Paths } from "../../../src/paths.ts";
import { buildContainerPlan } from "../../../src/spec/build-container-plan.ts";
import { buildExecPlan } from "../../../src/spec/build-exec-plan.ts";
import { buildPodPlan } from "../../../src/spec/build-pod-plan.ts";
import { encodePlan } from "../../../src/spec/encode-plan.ts";
import { makeExecTemplate } from "../../../src/spec/exec-template.ts";
import type { ContainerPlanInput, ExecPlanInput } from "../../../src/spec/inputs.ts";
import { idMapText, userMappingOf } from "../../../src/spec/user-namespace.ts";
import type { ContainerConfig, ContainerSecurity, ExitFacts } from "../../../src/types/container.ts";
import type { PodConfig, PodSecurity, ProcessRef } from "../../../src/types/pod.ts";
import { containerConfig, IMAGE, NAMESPACES, planInput, podConfig } from "../../unit/spec/fixture.ts";

export const project = resolve(import.meta.dirname, "../../..");
export const probe = join(project, "out/native/Release/probe");
export const PROBE = "/bin/probe";

export interface PodOptions {
  readonly security?: Partial<PodSecurity>;
  readonly config?: Partial<PodConfig>;
}

export interface RunOptions {
  readonly container?: Partial<ContainerConfig>;
  readonly security?: Partial<ContainerSecurity>;
  readonly input?: Partial<ContainerPlanInput>;
  /** Name below the pod's log directory. */
  readonly log?: string;
  readonly request?: Partial<PrepareRequest>;
}

export interface ExecOptions {
  readonly input?: Partial<ExecPlanInput>;
  readonly stdin?: boolean;
  readonly tty?: boolean;
  readonly detached?: boolean;
}

export interface Outcome {
  readonly exitCode: number;
  readonly signal: number;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

/** A prepared container. */
export interface TestContainer {
  readonly id: string;
  readonly process: ProcessRef;
  readonly cgroup: string;
  readonly log: string;
  readonly input: ContainerPlanInput;
  /** Directory of the overlay's upper layer. */
  readonly upper: string;
}

let loaded: Promise<{ kernel: Kernel; host: HostFacts; mount: string }> | undefined;

/** Once per test file: the sealed copy of the monitor is made once. */
function load(binary: string) {
  loaded ??= (async () => {
    const kernel = loadKernel();
    await kernel.loadMonitor(binary);
    return { kernel, host: await kernel.hostFacts(), mount: await kernel.cgroupMount() };
  })();
  return loaded;
}

/**
 * A process that is born in a user namespace runs on a stack of its own, which ASan does not know: it says so
 * once, before a function that does not return. That is no complaint.
 */
const OWN_STACK = /^==\d+==WARNING: ASan is ignoring requested __asan_handle_no_return(.*\n){3}/gm;

/** Starts pods for one test at a time, and ends them after it. */
export function usePods(binary = join(project, "out/native/Release/berth-monitor")) {
  const pods: TestPod[] = [];
  afterEach(async () => {
    for (const pod of pods.splice(0)) await pod.remove();
  });
  return async (options: PodOptions = {}): Promise<TestPod> => {
    const pod = new TestPod(await load(binary), options);
    pods.push(pod);
    await pod.begin();
    return pod;
  };
}

export class TestPod {
  readonly kernel: Kernel;
  readonly host: HostFacts;
  readonly id = randomBytes(32).toString("hex");
  readonly directory = mkdtempSync("/tmp/berth-monitor-");
  readonly paths: Paths;
  readonly cgroup: string;
  readonly config: PodConfig;
  readonly exits = new Map<string, ExitFacts>();
  readonly waiters = new Map<string, (exit: ExitFacts) => void>();
  isLost = false;
  monitor!: Monitor;
  process!: ProcessRef;
  #snapshots = 0;

  constructor(parts: { kernel: Kernel; host: HostFacts; mount: string }, options: PodOptions) {
    this.kernel = parts.kernel;
    this.host = parts.host;
    this.cgroup = join(parts.mount, `berth-test-${randomBytes(4).toString("hex")}`);
    const { directory } = this;
    // Root of a pod's user namespace passes it on its way to its mounts.
    chmodSync(directory, 0o711);
    this.paths = makePaths(join(directory, "r"), join(directory, "v"), "", join(directory, "n"));
    this.config = podConfig(options.security, options.config);
    for (const path of [
      this.paths.rootAttach,
      this.paths.mountsAttach,
      this.paths.podState(this.id),
      this.logs,
      this.shared,
      this.empty,
    ]) {
      mkdirSync(path, { recursive: true });
    }
    for (const path of [join(this.paths.state, "m"), this.paths.netnsDir]) mkdirSync(path);
    this.addLayer(1, (layer) => {
      mkdirSync(join(layer, "bin"));
      copyFileSync(probe, join(layer, "bin/probe"));
      chmodSync(join(layer, "bin/probe"), 0o755);
      mkdirSync(join(layer, "tmp"));
      chmodSync(join(layer, "tmp"), 0o1777);
    });
  }

  get logs(): string {
    return join(this.directory, "logs");
  }
  /** A host directory for volumes. */
  get shared(): string {
    return join(this.directory, "host");
  }
  get empty(): string {
    return join(this.paths.snapshots, this.paths.emptyLayerRelative);
  }
  get hasNetns(): boolean {
    return this.config.security.namespaces.network !== "NODE";
  }

  /** Layer directories are numbered by the caller; 1 holds the probe. */
  addLayer(number: number, fill: (directory: string) => void): void {
    const layer = this.paths.layer(number);
    mkdirSync(layer, { recursive: true });
    fill(layer);
  }

  async begin(): Promise<void> {
    const { kernel, paths, id } = this;
    await kernel.createCgroup(monitorCgroup(this.cgroup));
    const mapping = userMappingOf(this.config.security.namespaces);
    const maps =
      mapping === null ? undefined : { uids: idMapText([mapping.uids]), gids: idMapText([mapping.gids]) };
    if (this.hasNetns) await kernel.createNetns(paths.netns(id), maps);
    this.process = await kernel.spawnMonitor({
      title: id,
      cgroupPath: monitorCgroup(this.cgroup),
      stateDir: paths.podState(id),
      socketPath: paths.monitorSocket(id),
      plan: encodePlan(buildPodPlan({ config: this.config, netnsPath: paths.netns(id) })),
      timeoutMs: 10_000,
    });
    await this.connect();
  }

  async connect(): Promise<Monitor> {
    const onExit = (id: string, exit: ExitFacts) => {
      this.exits.set(id, exit);
      this.waiters.get(id)?.(exit);
    };
    const onLost = () => {
      this.isLost = true;
    };
    const socket = this.paths.monitorSocket(this.id);
    this.monitor = await makeMonitorDriver().connect(this.id, socket, { onExit, onLost }, 10_000);
    return this.monitor;
  }

  exitOf(id: string): Promise<ExitFacts> {
    const known = this.exits.get(id);
    if (known !== undefined) return Promise.resolve(known);
    return new Promise((resolve) => this.waiters.set(id, resolve));
  }

  planInput(args: readonly string[], options: RunOptions = {}): ContainerPlanInput {
    const number = ++this.#snapshots;
    for (const part of ["u", "w"]) mkdirSync(join(this.paths.snapshot(number), part), { recursive: true });
    return planInput({
      pod: this.config,
      container: containerConfig({ command: args, ...options.container }, options.security),
      image: { ...IMAGE, workingDir: "" },
      lowers: [this.paths.layerRelative(1)],
      snapshot: this.paths.snapshotRelative(number),
      paths: {
        snapshots: this.paths.snapshots,
        rootAttach: this.paths.rootAttach,
        mountsAttach: this.paths.mountsAttach,
        emptyLayer: this.paths.emptyLayerRelative,
        resolvConf: "",
        hostname: "",
        hosts: "",
      },
      host: this.host,
      ...options.input,
    });
  }

  /** Where nothing else is said, `args` are those of the probe. */
  async prepare(args: readonly string[], options: RunOptions = {}): Promise<TestContainer> {
    const input = this.planInput([PROBE, ...args], options);
    const id = options.request?.id ?? randomBytes(32).toString("hex");
    const cgroup = containerCgroup(this.cgroup, id);
    await this.kernel.createCgroup(cgroup);
    const log = options.log === undefined ? "" : join(this.logs, options.log);
    const process = await this.monitor.prepare({
      id,
      cgroupPath: cgroup,
      logPath: log,
      tty: input.container.tty,
      stdin: input.container.stdin,
      stdinOnce: input.container.stdinOnce,
      pidTarget: "",
      plan: encodePlan(buildContainerPlan(input)),
      ...options.request,
    });
    return { id, process, cgroup, log, input, upper: join(this.paths.snapshots, input.snapshot, "u") };
  }

  async start(args: readonly string[], options: RunOptions = {}): Promise<TestContainer> {
    const container = await this.prepare(args, options);
    await this.monitor.start(container.id);
    return container;
  }

  /** Runs the probe to its end, attached from before its start. */
  async run(args: readonly string[], options: RunOptions = {}): Promise<Outcome & { id: string }> {
    const container = await this.prepare(args, options);
    const session = this.monitor.attach(container.id, { stdin: false });
    const outcome = collect(session);
    // Where the start fails, that is what is told.
    outcome.catch(() => {});
    await session.started;
    await this.monitor.start(container.id);
    await this.exitOf(container.id);
    return { ...(await outcome), id: container.id };
  }

  async report(options: RunOptions = {}): Promise<Report> {
    return parseReport(await this.run(["report", "--json"], options));
  }

  exec(container: TestContainer, argv: readonly string[], options: ExecOptions = {}): StreamSession {
    const tty = options.tty === true;
    const plan = buildExecPlan({
      template: makeExecTemplate(container.input),
      argv: [PROBE, ...argv],
      host: this.host,
      seccomp: null,
      ...(tty ? { console: { rows: 24, columns: 80 } } : {}),
      ...options.input,
    });
    return this.monitor.exec({
      container: container.id,
      cgroupPath: container.cgroup,
      tty,
      stdin: options.stdin === true,
      rows: 24,
      columns: 80,
      plan: encodePlan(plan),
      detached: options.detached,
    });
  }

  async execAll(container: TestContainer, argv: readonly string[], options?: ExecOptions): Promise<Outcome> {
    return collect(this.exec(container, argv, options));
  }

  async remove(): Promise<void> {
    const { kernel, paths } = this;
    this.monitor?.close();
    if (this.process !== undefined) kernel.signalProcess(this.process, 18);
    await kernel.destroyCgroup(this.cgroup, 10_000);
    await kernel.removeNetns(paths.netns(this.id));
    const complaints = this.sanitizerReports();
    rmSync(this.directory, { recursive: true, force: true });
    if (complaints !== "") throw new Error(complaints);
  }

  /** What a monitor under sanitizers has complained about (test/native/sanitizer_options.cc). */
  sanitizerReports(): string {
    const directory = this.paths.podState(this.id);
    const names = readdirSync(directory).filter((name) => name.startsWith("sanitizer"));
    const reports = names.map((name) => readFileSync(join(directory, name), "utf8").replace(OWN_STACK, ""));
    return reports.join("\n").trim();
  }
}

/** All output, and the exit; rejects as `exited` does. */
export async function collect(session: StreamSession): Promise<Outcome> {
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  session.onStdout = (chunk) => stdout.push(Buffer.from(chunk));
  session.onStderr = (chunk) => stderr.push(Buffer.from(chunk));
  const exit = await session.exited;
  return { ...exit, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr) };
}

/** What `probe report --json` prints. */
export type Report = Record<string, string | number | boolean | string[]>;

export function parseReport(outcome: Outcome): Report {
  if (outcome.exitCode !== 0) throw new Error(`the probe failed: ${outcome.stdout}${outcome.stderr}`);
  return JSON.parse(outcome.stdout.toString("utf8")) as Report;
}

export function sharedPids(): PodOptions {
  return { security: { namespaces: { ...NAMESPACES, pid: "POD" } } };
}

export function writeTree(directory: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(directory, name, ".."), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
}
