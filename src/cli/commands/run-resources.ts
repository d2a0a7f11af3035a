// Limits of `berth run`.

import { LinuxContainerResources } from "../../gen/runtime/v1/api.ts";
import type { Parsed } from "../arguments/options.ts";
import { readCpus, readSize } from "../arguments/quantities.ts";
import { UsageError } from "../errors.ts";

/** The limits that the options set; undefined when there is none. @throws UsageError */
export function resources(parsed: Parsed): LinuxContainerResources | undefined {
  const names = ["memory", "memory-swap", "cpus", "cpu-shares", "cpuset-cpus", "pids-limit", "oom-score-adj"];
  if (!names.some((name) => parsed.has(name))) return undefined;
  const size = (name: string) => {
    const text = parsed.text(name);
    return text === undefined ? 0n : readSize(name, text);
  };
  const cpus = parsed.text("cpus");
  const { period, quota } = cpus === undefined ? { period: 0n, quota: 0n } : readCpus(cpus);
  const pids = parsed.number("pids-limit") ?? 0;
  return LinuxContainerResources.fromPartial({
    memoryLimitInBytes: size("memory"),
    memorySwapLimitInBytes: swapLimit(size("memory"), size("memory-swap")),
    cpuPeriod: period,
    cpuQuota: quota,
    cpuShares: BigInt(parsed.number("cpu-shares") ?? 0),
    cpusetCpus: parsed.text("cpuset-cpus") ?? "",
    oomScoreAdj: oomScore(parsed),
    unified: pids > 0 ? { "pids.max": String(pids) } : {},
  });
}

function swapLimit(memory: bigint, swap: bigint): bigint {
  if (swap > 0n && swap < memory) {
    throw new UsageError("--memory-swap counts memory and swap together: it cannot be below --memory", 125);
  }
  return swap;
}

function oomScore(parsed: Parsed): bigint {
  const text = parsed.text("oom-score-adj");
  if (text === undefined) return 0n;
  const score = /^-?\d{1,4}$/.test(text) ? Number(text) : Number.NaN;
  if (score >= -1000 && score <= 1000) return BigInt(score);
  throw new UsageError(`invalid value "${text}" for --oom-score-adj: it lies within -1000 and 1000`, 125);
}
