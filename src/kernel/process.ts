// Monitors and other processes through the addon.

import type { ProcessKernel } from "./kernel.ts";
import { rethrow } from "./native-error.ts";

/** The doors of addon/binding/process.cc. */
export interface ProcessNative {
  loadMonitor(path: string): Promise<void>;
  spawnMonitor(
    title: string,
    cgroupPath: string,
    stateDir: string,
    socketPath: string,
    plan: Uint8Array,
    timeoutMs: number,
  ): Promise<{ pid: number; startTime: number }>;
  processStartTime(pid: number): number | null;
  signalProcess(pid: number, startTime: number, signal: number): boolean;
}

/** Rejects, and signalProcess throws, KernelError. */
export function makeProcessKernel(native: ProcessNative): ProcessKernel {
  return {
    loadMonitor: (path) => native.loadMonitor(path).catch(rethrow),
    spawnMonitor: ({ title, cgroupPath, stateDir, socketPath, plan, timeoutMs }) =>
      native.spawnMonitor(title, cgroupPath, stateDir, socketPath, plan, timeoutMs).catch(rethrow),
    processStartTime: (pid) => native.processStartTime(pid),
    signalProcess: (process, signal) => {
      try {
        return native.signalProcess(process.pid, process.startTime, signal);
      } catch (error) {
        return rethrow(error);
      }
    },
  };
}
