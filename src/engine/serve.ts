// berth's own API beside the CRI (proto/berth/v1/engine.proto): translates to the verbs, nothing else.

import type { Server } from "@grpc/grpc-js";
import { attachContainer } from "../containers/attach-container.ts";
import { containerProcesses } from "../containers/container-processes.ts";
import { openExec } from "../containers/open-exec.ts";
import { signalContainer } from "../containers/signal-container.ts";
import { startExec } from "../containers/start-exec.ts";
import { waitContainer } from "../containers/wait-container.ts";
import {
  type AttachResponse,
  type AttachStart,
  EngineService,
  type ExecResponse,
  type ExecStart,
  type Process,
  type WaitResponse,
} from "../gen/berth/v1/engine.ts";
import type { Call } from "../lib/call.ts";
import { encoded, type Handlers } from "../lib/service-handlers.ts";
import type { RunningProcess } from "../types/stats.ts";
import type { EngineDeps } from "./deps.ts";
import type { EngineEvents } from "./events.ts";
import { info } from "./info.ts";
import { inspect } from "./inspect.ts";
import { resolve } from "./resolve.ts";
import { callOf, serverStream, unary } from "./rpc.ts";
import { serveLoadImage, servePullImage } from "./serve-images.ts";
import { serveLogs } from "./serve-logs.ts";
import { servePortForward } from "./serve-port-forward.ts";
import { type SessionOutput, type SessionShape, serveSession } from "./serve-session.ts";
import { serviceError } from "./status.ts";
import { containerSummaries, imageSummaries } from "./summaries.ts";
import { usage } from "./usage.ts";

/** EngineService whose listings are bytes already. */
const engineDefinition = {
  ...EngineService,
  listContainers: encoded(EngineService.listContainers),
  listImages: encoded(EngineService.listImages),
  stats: encoded(EngineService.stats),
};

/** Adds the service berth.v1.Engine to `server`. */
export function serveEngine(
  server: Server,
  deps: EngineDeps & { readonly engineEvents: Pick<EngineEvents, "read"> },
): void {
  const handlers: Handlers<typeof engineDefinition> = {
    info: unary(deps, () => info(deps)),
    resolve: unary(deps, (_call, request) => resolve(deps, request)),
    listContainers: unary(deps, () => containerSummaries(deps)),
    listImages: unary(deps, () => imageSummaries(deps)),
    inspect: unary(deps, (_call, request) => inspect(deps, request)),
    wait: unary(deps, (call, request) => wait(deps, call, request.containerId)),
    signalContainer: unary(deps, async (call, request) => {
      await signalContainer(deps, call, request.containerId, request.signal);
      return {};
    }),
    attach: (rpc) => serveSession(rpc, deps, attachShape(deps)),
    exec: (rpc) => serveSession(rpc, deps, execShape(deps)),
    startExec: unary(deps, async (call, start) => {
      const { pid } = await startExec(deps, call, start.containerId, execRequest(start));
      return { pid };
    }),
    portForward: (rpc) => servePortForward(deps, rpc),
    stats: unary(deps, (call, request) => usage(deps, call, request)),
    top: unary(deps, async (call, { containerId }) => ({
      processes: (await containerProcesses(deps, call, containerId)).map(processToProto),
    })),
    events: serverStream(deps, async (call, _request, send) => {
      for await (const event of deps.engineEvents.read(call.signal)) await send(event);
    }),
    logs: serverStream(deps, (call, request, send) => serveLogs(deps, call, request, send)),
    pullImage: serverStream(deps, (call, request, send) => servePullImage(deps, call, request, send)),
    loadImage: (rpc, answer) => {
      serveLoadImage(deps, callOf(rpc, deps), rpc).then(
        (response) => answer(null, response),
        (error) => answer(serviceError(error)),
      );
    },
  };
  server.addService(engineDefinition, handlers);
}

function processToProto({ command, startedMs, cpuMs, ...rest }: RunningProcess): Process {
  return {
    ...rest,
    startedMs: BigInt(startedMs),
    cpuMs: BigInt(cpuMs),
    command: command.map((argument) => Buffer.from(argument, "latin1")),
  };
}

async function wait(deps: EngineDeps, call: Call, id: string): Promise<WaitResponse> {
  const { exitCode, signal, finishedAt, oomKilled } = await waitContainer(deps, call, id);
  return { exit: { exitCode, signal }, finishedAt: BigInt(finishedAt), oomKilled };
}

const NOTHING = Buffer.alloc(0);

function parts({ stdout = NOTHING, stderr = NOTHING, exit }: SessionOutput) {
  return { stdout, stderr, exit };
}

function attachShape(deps: EngineDeps): SessionShape<AttachStart, AttachResponse> {
  return {
    open: async (call, { containerId, stdin, size }) => {
      const session = await attachContainer(deps, call, containerId, { stdin });
      if (size !== undefined) session.resize(size.rows, size.columns);
      return session;
    },
    greet: (session, send) => {
      // Once the monitor says so: who starts the container upon this answer misses nothing of its output.
      session.started.then(
        () => send({ attached: true, ...parts({}) }),
        // `exited` rejects with the same error.
        () => {},
      );
    },
    respond: (output) => ({ attached: false, ...parts(output) }),
  };
}

function execRequest(start: ExecStart): Parameters<typeof openExec>[3] {
  return {
    argv: start.argv,
    tty: start.tty,
    stdin: start.stdin,
    rows: start.size?.rows ?? 0,
    columns: start.size?.columns ?? 0,
    // Environments are byte strings.
    env: start.env.map((entry) => Buffer.from(entry, "utf8").toString("latin1")),
    privileged: start.privileged,
    ...(start.user === "" ? {} : { user: start.user }),
    ...(start.workingDir === "" ? {} : { workingDir: start.workingDir }),
  };
}

function execShape(deps: EngineDeps): SessionShape<ExecStart, ExecResponse> {
  return {
    open: (call, start) => openExec(deps, call, start.containerId, execRequest(start)),
    greet: (session, send) => {
      session.started.then(
        ({ pid }) => send({ started: { pid }, ...parts({}) }),
        // `exited` rejects with the same error.
        () => {},
      );
    },
    respond: (output) => ({ started: undefined, ...parts(output) }),
  };
}
