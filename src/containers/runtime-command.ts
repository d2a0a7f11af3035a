// Command lines of foreign runtimes, and what their failures say.

import { open } from "node:fs/promises";
import { join } from "node:path";
import { BerthError, KernelError, wrapError } from "../lib/errors.ts";
import type { RunOutcome } from "../monitor/monitor.ts";
import { quoted } from "../spec/describe-step.ts";
import { encodePlan } from "../spec/encode-plan.ts";
import { explainPlanFailure } from "../spec/explain-failure.ts";
import type { RuntimeCommand } from "../spec/inputs.ts";
import { buildRuntimeCommandPlan } from "../spec/runtime-plan.ts";
import type { Container } from "../types/container.ts";
import type { OciHandler } from "../types/handler.ts";
import type { Plan } from "../types/plan.ts";
import { bundleOf } from "./bundle.ts";
import type { ContainerDeps } from "./deps.ts";

/** More of a runtime's log is not read, nor shown to a client. */
const MAX_LOG_BYTES = 64 * 1024;
const MAX_MESSAGE = 2_000;

/** Path of the log of one command. */
export function runtimeLog(deps: Pick<ContainerDeps, "paths">, container: Container, name: string): string {
  return join(deps.paths.bundle(container.id), `log-${name}`);
}

/** `<runtime> <args> --root … --log … <words>`; `name` names the log. */
export async function runtimeCommand(
  deps: ContainerDeps,
  container: Container,
  handler: OciHandler,
  name: string,
  words: readonly string[],
): Promise<RuntimeCommand> {
  const { directory, runtimeRoot } = bundleOf(deps.paths, container);
  const log = ["--log", runtimeLog(deps, container, name), "--log-format", "json"];
  return {
    argv: [handler.path, ...handler.args, "--root", runtimeRoot, ...log, ...words],
    directory,
    daemonPid: process.pid,
    cgroupMount: await deps.kernel.cgroupMount(),
  };
}

/** Runs a command to its end in the container's monitor. A failure is explained (see runtimeFailure). */
export async function runRuntime(
  deps: ContainerDeps,
  container: Container,
  handler: OciHandler,
  words: readonly string[],
  limitMs: number,
): Promise<void> {
  const name = words[0] as string;
  const doing = `container "${container.id}"`;
  const monitor = deps.monitors.get(container.podId);
  if (monitor === undefined) throw new BerthError("UNAVAILABLE", `${doing}: its monitor does not answer`);
  const plan = buildRuntimeCommandPlan(await runtimeCommand(deps, container, handler, name, words));
  const { cgroup } = bundleOf(deps.paths, container);
  const failure = (error: unknown) => runtimeFailure({ deps, container, handler, name, plan, doing }, error);
  let outcome: RunOutcome;
  try {
    const stdin = Buffer.alloc(0);
    outcome = await monitor.run({ target: "", cgroup, limitMs, stdin, plan: encodePlan(plan) });
  } catch (error) {
    throw await failure(error);
  }
  const error = errorOf(outcome);
  if (error !== null) throw await failure(error);
}

/** As the monitor words it for the commands that it judges itself. */
function errorOf({ exitCode, signal, timedOut, output }: RunOutcome): KernelError | null {
  if (timedOut) return new KernelError("runtime did not end in time", "ETIMEDOUT", "");
  if (exitCode === 0) return null;
  const how = signal > 0 ? `signal ${signal}` : `exit ${exitCode}`;
  const words = output.toString("utf8").trim();
  return new KernelError("runtime failed", "ECHILD", words === "" ? how : `${how}: ${words}`);
}

export interface RuntimeAttempt {
  readonly deps: Pick<ContainerDeps, "paths">;
  readonly container: Container;
  readonly handler: OciHandler;
  /** The command, which also names its log. */
  readonly name: string;
  readonly plan: Plan;
  readonly doing: string;
}

/** The error in words: what the runtime wrote into its log, else how it ended and its last words. */
export async function runtimeFailure(attempt: RuntimeAttempt, error: unknown): Promise<BerthError> {
  const { handler, name, plan, doing } = attempt;
  const command = `${handler.name} ${name.split("-")[0]}`;
  if (!(error instanceof KernelError)) return wrapError(doing, error);
  const index = /^plan:(\d+)$/.exec(error.step)?.[1];
  if (index !== undefined) {
    if (plan.steps[Number(index)]?.op !== "exec") return explainPlanFailure(doing, plan, error);
    const what = `${doing}: execute runtime "${handler.path}" of handler "${handler.name}": ${error.errno}`;
    return new BerthError("FAILED_PRECONDITION", `${what}; mend handlers in berth.toml`, { cause: error });
  }
  const told = await lastError(runtimeLog(attempt.deps, attempt.container, name));
  if (error.step === "runtime failed") {
    const why = told ?? error.path;
    return new BerthError("FAILED_PRECONDITION", `${doing}: ${command}: ${why}`, { cause: error });
  }
  if (error.errno === "ETIMEDOUT") {
    const why = told === null ? "" : ` (${told})`;
    return new BerthError(
      "UNAVAILABLE",
      `${doing}: ${command}: did not end in time and was killed${why}; ` +
        `look at runtime "${handler.path}", or raise timeout_seconds of its handler`,
      { cause: error },
    );
  }
  return new BerthError("INTERNAL", `${doing}: ${command}: ${error.message}`, { cause: error });
}

/** The message of the last error in a log of JSON lines (of a foreign program: anything goes), or null. */
async function lastError(path: string): Promise<string | null> {
  let text: string;
  try {
    const file = await open(path, "r");
    try {
      const { size } = await file.stat();
      const buffer = Buffer.alloc(Math.min(size, MAX_LOG_BYTES));
      await file.read(buffer, 0, buffer.length, Math.max(0, size - MAX_LOG_BYTES));
      text = buffer.toString("utf8");
    } finally {
      await file.close();
    }
  } catch {
    return null;
  }
  const messages = text.split("\n").flatMap(errorIn);
  const last = messages.at(-1);
  return last === undefined ? null : quoted(last.slice(0, MAX_MESSAGE)).slice(1, -1);
}

function errorIn(line: string): string[] {
  try {
    const { level, msg } = JSON.parse(line) as { level?: unknown; msg?: unknown };
    return typeof msg === "string" && (level === "error" || level === "fatal") ? [msg] : [];
  } catch {
    return [];
  }
}
