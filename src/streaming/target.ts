// What a URL of the streaming server stands for. The edge that grants the URL says how it is opened.

import type { Duplex } from "node:stream";
import type { Call } from "../lib/call.ts";
import type { StreamSession } from "../monitor/monitor.ts";
import type { TerminalSize } from "./terminal-size.ts";

/** The streams of a process: exec or attach. */
export interface ProcessTarget {
  readonly kind: "exec" | "attach";
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
  /** Whether the exit code of the process is told; an attach ends in success whatever it was. */
  readonly tellsExitCode: boolean;
  /** `size` of the client's terminal, when it is known already. */
  open(call: Call, size?: TerminalSize): Promise<StreamSession>;
}

/** Connections to ports within a pod. */
export interface PortsTarget {
  readonly kind: "portforward";
  /** For errors: pod sandbox "…". */
  readonly title: string;
  /** The ports that a plain WebSocket connects; the other transports name them themselves. */
  readonly ports: readonly number[];
  /** Connects to a port on the pod's loopback. Rejects when nothing listens there. */
  dial(call: Call, port: number): Promise<Duplex>;
}

export type StreamTarget = ProcessTarget | PortsTarget;

/** What an edge needs of the streaming server. */
export interface StreamGrants {
  /**
   * A URL that opens `target` once, within a minute. RESOURCE_EXHAUSTED when too many wait to be used.
   */
  grant(target: StreamTarget): string;
}
