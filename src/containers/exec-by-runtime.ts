// One more process in a container of a foreign runtime, through `<runtime> exec`.

import { randomBytes } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ExecRequest, Monitor, StreamSession } from "../monitor/monitor.ts";
import { execProcess } from "../spec/build-exec-plan.ts";
import { encodePlan } from "../spec/encode-plan.ts";
import type { ExecPlanInput } from "../spec/inputs.ts";
import { ociProcess } from "../spec/oci-process.ts";
import { buildRuntimeCommandPlan, inheritedByExec } from "../spec/runtime-plan.ts";
import type { Container } from "../types/container.ts";
import type { RuntimeOfContainer } from "../types/handler.ts";
import { bundleOf } from "./bundle.ts";
import type { ContainerDeps } from "./deps.ts";
import { explainedSession } from "./explained-session.ts";
import { runtimeCommand, runtimeFailure, runtimeLog } from "./runtime-command.ts";

/** What the monitor is asked for, whoever starts the process. */
export type ExecStreams = Omit<ExecRequest, "plan" | "launch">;

/**
 * Starts it. The process gets a cgroup of its own below the container's, so that closing the session kills
 * it with all of its children; a runtime without `exec --cgroup` is helped out once the process runs.
 */
export async function execByRuntime(
  deps: ContainerDeps,
  monitor: Monitor,
  container: Container,
  handler: RuntimeOfContainer,
  asked: { readonly streams: ExecStreams; readonly input: ExecPlanInput; readonly doing: string },
): Promise<StreamSession> {
  const { streams, input, doing } = asked;
  const bundle = bundleOf(deps.paths, container);
  const number = randomBytes(3).toString("hex");
  const name = `exec-${number}`;
  const files = {
    process: join(bundle.directory, `${name}.json`),
    pid: join(bundle.directory, `${name}.pid`),
    console: join(bundle.directory, `c${number}`),
    log: runtimeLog(deps, container, name),
  };
  const execCgroup = `x-${randomBytes(4).toString("hex")}`;
  const words = ["exec", "--detach", "--process", files.process, "--pid-file", files.pid];
  if (streams.tty) words.push("--console-socket", files.console);
  if (handler.execsInCgroup) words.push("--cgroup", execCgroup);
  const command = await runtimeCommand(deps, container, handler, name, [...words, container.id]);
  const { selinuxLabel } = input.template;
  const process = { ...execProcess(input), terminal: streams.tty, host: deps.host, selinuxLabel };
  const inherited = inheritedByExec(input.template, process.user, deps.host);
  const plan = buildRuntimeCommandPlan(command, inherited);
  await writeFile(files.process, JSON.stringify(ociProcess(process)), { mode: 0o600 });
  const session = monitor.exec({
    ...streams,
    plan: encodePlan(plan),
    launch: {
      cgroup: bundle.cgroup,
      limitMs: handler.timeoutMs,
      pidFile: files.pid,
      consoleSocket: streams.tty ? files.console : "",
      execCgroup: join(container.cgroupPath, execCgroup),
      moves: !handler.execsInCgroup,
    },
  });
  const explained = explainedSession(session, doing, plan, (error) =>
    runtimeFailure({ deps, container, handler, name, plan, doing }, error),
  );
  removeBehind(explained, Object.values(files));
  return explained;
}

/** The files are of no use once the runtime has ended, and nothing may wait for their removal. */
function removeBehind(session: StreamSession, files: readonly string[]): void {
  const remove = () => Promise.all(files.map((file) => rm(file, { force: true }))).catch(() => {});
  session.started.then(remove, remove);
}
