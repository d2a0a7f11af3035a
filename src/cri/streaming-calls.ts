// Exec, Attach and PortForward: each checks its request and answers with a URL. What the URL opens is served
// by src/streaming, and checked again then: a minute may pass before it is used.

import { requireState } from "../containers/container-lifecycle.ts";
import type * as proto from "../gen/runtime/v1/api.ts";
import { requireReady } from "../pods/pod-lifecycle.ts";
import type { StreamGrants } from "../streaming/target.ts";
import { filled, integerWithin, invalidField, texts } from "./fields.ts";
import { type Surroundings, unary } from "./intercept.ts";
import type { CriVerbs } from "./verbs.ts";

export type StreamingEdge = Surroundings & { readonly streaming: StreamGrants };

type Calls = Pick<proto.RuntimeServiceServer, "exec" | "attach" | "portForward">;

export function streamingCalls(verbs: CriVerbs, edge: StreamingEdge): Calls {
  return {
    exec: unary(edge, (_call, request) => ({ url: edge.streaming.grant(execTarget(verbs, request)) })),
    attach: unary(edge, (_call, request) => ({ url: edge.streaming.grant(attachTarget(verbs, request)) })),
    portForward: unary(edge, (_call, request) => ({
      url: edge.streaming.grant(portsTarget(verbs, request)),
    })),
  };
}

type Target = Parameters<StreamGrants["grant"]>[0];

function execTarget(verbs: CriVerbs, request: proto.ExecRequest): Target {
  const id = filled(request.containerId, "container_id");
  if (request.cmd.length === 0) throw invalidField("cmd", "is empty: there is nothing to run");
  const argv = texts(request.cmd, "cmd");
  checkStreams(request);
  requireState(verbs.containerStatus(id), "exec");
  const { tty, stdin, stdout, stderr } = request;
  return {
    kind: "exec",
    tellsExitCode: true,
    ...{ tty, stdin, stdout, stderr },
    open: (call, { rows, columns } = { rows: 0, columns: 0 }) =>
      verbs.openExec(call, id, { argv, tty, stdin, rows, columns }),
  };
}

function attachTarget(verbs: CriVerbs, request: proto.AttachRequest): Target {
  const id = filled(request.containerId, "container_id");
  checkStreams(request);
  const container = verbs.containerStatus(id);
  requireState(container, "attach");
  const { config } = container;
  if (request.tty !== config.tty) {
    const has = config.tty ? "has a terminal" : "has no terminal";
    throw invalidField("tty", `is ${request.tty}, but container "${id}" ${has}: set it to ${config.tty}`);
  }
  const { tty, stdin, stdout, stderr } = request;
  return {
    kind: "attach",
    tellsExitCode: false,
    ...{ tty, stdin, stdout, stderr },
    open: (call) => verbs.attachContainer(call, id, { stdin }),
  };
}

function portsTarget(verbs: CriVerbs, request: proto.PortForwardRequest): Target {
  const id = filled(request.podSandboxId, "pod_sandbox_id");
  const ports = request.port.map((port, index) => integerWithin(port, 1, 65_535, `port[${index}]`));
  requireReady(verbs.podSandboxStatus(id), `port-forward to pod sandbox "${id}"`);
  return {
    kind: "portforward",
    title: `pod sandbox "${id}"`,
    ports,
    dial: (call, port) => verbs.openPodPort(call, id, port),
  };
}

/** CRI, ExecRequest and AttachRequest: at least one stream, and no stderr beside a terminal. */
function checkStreams(request: Pick<proto.ExecRequest, "tty" | "stdin" | "stdout" | "stderr">): void {
  if (!request.stdin && !request.stdout && !request.stderr) {
    throw invalidField("stdin", "stdout and stderr are all false: one of them must be true");
  }
  if (request.tty && request.stderr) {
    throw invalidField("stderr", "is true beside tty: a terminal has one output, which is stdout");
  }
}
