// A kernel that only remembers: for unit tests. Calls are recorded in order, each can be made to fail.

import { KernelError } from "../lib/errors.ts";
import type { ProcessRef } from "../types/pod.ts";
import type {
  DeviceRule,
  HostFacts,
  IdMaps,
  Kernel,
  LayerUnpack,
  ProcessText,
  StatsReading,
} from "./kernel.ts";
import { STATS_FIELDS } from "./stats.ts";

export interface KernelCall {
  readonly name: string;
  readonly args: readonly unknown[];
}

export const FAKE_HOST: HostFacts = {
  kernelRelease: "6.12.0",
  bootId: "boot-1",
  cgroupControllers: ["cpu", "memory", "pids"],
  capSysResource: true,
  nofileHard: 1_048_576,
  lastCapability: 40,
  apparmor: false,
  selinux: false,
  deviceFilter: true,
};

export class FakeKernel implements Kernel {
  readonly calls: KernelCall[] = [];
  /** Directories of cgroups, with their interface files. */
  readonly cgroups = new Map<string, Map<string, string>>();
  readonly namespaces = new Set<string>();
  /** Start times by pid. */
  readonly processes = new Map<number, number>();
  /** By method name: thrown instead of acting. */
  readonly failures = new Map<string, Error>();
  /** Told of every signal and of every killed cgroup. */
  onSignal: (process: ProcessRef, signal: number) => void = () => {};
  onKill: (cgroupPath: string) => void = () => {};
  readonly files = new Map<string, Uint8Array>();
  #nextPid = 1000;

  #record(name: string, ...args: unknown[]): void {
    this.calls.push({ name, args });
    const failure = this.failures.get(name);
    if (failure !== undefined) throw failure;
  }

  /** Names of the recorded calls, in order. */
  names(): string[] {
    return this.calls.map((call) => call.name);
  }

  spawnProcess(): ProcessRef {
    const pid = this.#nextPid++;
    this.processes.set(pid, pid * 10);
    return { pid, startTime: pid * 10 };
  }

  async loadMonitor(binaryPath: string): Promise<void> {
    this.#record("loadMonitor", binaryPath);
  }

  async spawnMonitor(request: Parameters<Kernel["spawnMonitor"]>[0]): Promise<ProcessRef> {
    this.#record("spawnMonitor", request);
    if (!this.cgroups.has(request.cgroupPath)) throw new KernelError("clone3", "ENOENT", request.cgroupPath);
    return this.spawnProcess();
  }

  processStartTime(pid: number): number | null {
    return this.processes.get(pid) ?? null;
  }

  signalProcess(process: ProcessRef, signal: number): boolean {
    this.#record("signalProcess", process, signal);
    if (this.processes.get(process.pid) !== process.startTime) return false;
    this.onSignal(process, signal);
    return true;
  }

  async cgroupMount(): Promise<string> {
    return "/cg";
  }

  async createCgroup(path: string): Promise<void> {
    this.#record("createCgroup", path);
    for (let at = path; at.length > "/cg".length; at = at.slice(0, at.lastIndexOf("/"))) {
      if (!this.cgroups.has(at)) this.cgroups.set(at, new Map());
    }
  }

  async writeCgroup(path: string, file: string, value: string): Promise<void> {
    this.#record("writeCgroup", path, file, value);
    this.cgroups.get(path)?.set(file, value);
  }

  async readCgroup(path: string, file: string): Promise<string | null> {
    return this.cgroups.get(path)?.get(file) ?? null;
  }

  async attachDeviceFilter(path: string, rules: readonly DeviceRule[]): Promise<void> {
    this.#record("attachDeviceFilter", path, rules);
  }

  async killCgroup(path: string, timeoutMs: number): Promise<boolean> {
    this.#record("killCgroup", path, timeoutMs);
    this.onKill(path);
    return true;
  }

  async setOomScore(path: string, value: number, clamp: boolean): Promise<void> {
    this.#record("setOomScore", path, value, clamp);
  }

  async destroyCgroup(path: string, timeoutMs: number): Promise<boolean> {
    if (!(await this.killCgroup(path, timeoutMs))) return false;
    for (const at of [...this.cgroups.keys()]) {
      if (at === path || at.startsWith(`${path}/`)) this.cgroups.delete(at);
    }
    return true;
  }

  async createNetns(path: string, maps?: IdMaps): Promise<void> {
    if (maps === undefined) this.#record("createNetns", path);
    else this.#record("createNetns", path, maps);
    this.namespaces.add(path);
  }

  async removeNetns(path: string): Promise<void> {
    this.#record("removeNetns", path);
    this.namespaces.delete(path);
  }

  async listNetns(directory: string): Promise<string[]> {
    return [...this.namespaces].filter((path) => path.startsWith(`${directory}/`));
  }

  async dialLoopback(path: string, port: number, timeoutMs: number): Promise<number> {
    this.#record("dialLoopback", path, port, timeoutMs);
    throw new KernelError("connect", "ECONNREFUSED", "127.0.0.1");
  }

  unpackLayer(): LayerUnpack {
    throw new KernelError("unpackLayer", "ENOSYS", "");
  }

  async readLayerRecord(path: string): Promise<never> {
    throw new KernelError("readLayerRecord", "ENOSYS", path);
  }

  async checkLayer(directory: string): Promise<never> {
    throw new KernelError("checkLayer", "ENOSYS", directory);
  }

  async verifyLayer(directory: string): Promise<never> {
    throw new KernelError("verifyLayer", "ENOSYS", directory);
  }

  recreateLayer(directory: string): never {
    throw new KernelError("recreateLayer", "ENOSYS", directory);
  }

  // The directories of unit tests are real ones, below a temporary directory.

  async makeSnapshot(path: string): Promise<void> {
    this.#record("makeSnapshot", path);
    const { mkdir } = await import("node:fs/promises");
    for (const name of ["u", "w"]) await mkdir(`${path}/${name}`, { recursive: true });
  }

  async removeTree(path: string): Promise<void> {
    this.#record("removeTree", path);
    const { rm } = await import("node:fs/promises");
    await rm(path, { recursive: true, force: true });
  }

  async readBeneath(_layers: readonly string[], path: string): Promise<Uint8Array | null> {
    return this.files.get(path) ?? null;
  }

  /** A descriptor of the layer's own path: who opens it by /proc finds what is there. */
  async mountLayer(path: string): Promise<number> {
    this.#record("mountLayer", path);
    const [{ open }, { promisify }] = await Promise.all([import("node:fs"), import("node:util")]);
    return await promisify(open)(path, "r");
  }

  async probeErofs(directory: string): Promise<string> {
    this.#record("probeErofs", directory);
    return "";
  }

  async relabel(path: string, label: string): Promise<void> {
    this.#record("relabel", path, label);
  }

  async treeUsage(): Promise<{ bytes: number; inodes: number }> {
    return { bytes: 0, inodes: 0 };
  }

  treeTar(layers: readonly string[]): AsyncIterable<Uint8Array> {
    this.#record("treeTar", ...layers);
    return (async function* () {})();
  }

  async syncFilesystem(path: string): Promise<void> {
    this.#record("syncFilesystem", path);
  }

  async requireDiskRoom(path: string): Promise<void> {
    this.#record("requireDiskRoom", path);
  }

  async compileSeccomp(): Promise<Uint8Array> {
    this.#record("compileSeccomp");
    return Uint8Array.of(6, 0, 0, 0, 0, 0, 0xff, 0x7f);
  }

  /** Rows that readStats gives, by cgroup: the fields that are not NaN. */
  readonly stats = new Map<string, Readonly<Record<string, number>>>();
  /** Text of /proc/<pid>/net/dev, by pid. */
  readonly networkDevices = new Map<number, string>();

  async readStats(wishes: Parameters<Kernel["readStats"]>[0]): Promise<StatsReading> {
    this.#record(
      "readStats",
      wishes.map(({ path }) => path),
    );
    const rows = wishes.flatMap(({ path }) => {
      const row = this.stats.get(path) ?? {};
      return STATS_FIELDS.map((field) => row[field] ?? Number.NaN);
    });
    const texts = wishes.map(() => "");
    return { numbers: Float64Array.from(rows), io: texts, hugepages: texts };
  }

  /** Processes by cgroup. */
  readonly members = new Map<string, ProcessText[]>();

  async readProcesses(cgroup: string): Promise<ProcessText[]> {
    return this.members.get(cgroup) ?? [];
  }

  async readNetworkDevices(processes: readonly ProcessRef[]): Promise<string[]> {
    return processes.map(({ pid }) => this.networkDevices.get(pid) ?? "");
  }

  async hostFacts(): Promise<HostFacts> {
    return FAKE_HOST;
  }

  async releaseMemory(): Promise<void> {
    this.#record("releaseMemory");
  }

  async probeUserNamespaces(directory: string): Promise<void> {
    this.#record("probeUserNamespaces", directory);
  }
}
