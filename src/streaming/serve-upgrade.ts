// Serves one redeemed URL: which of the transports and protocols the client speaks, and what is behind them.

import { createWebSocketStream, type WebSocket } from "ws";
import type { Call, Logger } from "../lib/call.ts";
import { BerthError, messageOf } from "../lib/errors.ts";
import { joinProcess } from "./join-process.ts";
import { PortPairs } from "./ports-over-spdy.ts";
import { forwardPortsOverWebSocket, MAX_WEBSOCKET_PORTS } from "./ports-over-websocket.ts";
import { StreamCollector } from "./process-over-spdy.ts";
import { webSocketProcessChannels } from "./process-over-websocket.ts";
import {
  type ChannelProtocol,
  SPDY_PORT_PROTOCOLS,
  SPDY_PROCESS_PROTOCOLS,
  TUNNEL_PROTOCOL,
  WEBSOCKET_PORT_PROTOCOLS,
  WEBSOCKET_PROCESS_PROTOCOLS,
} from "./protocols.ts";
import { SpdySession } from "./spdy/session.ts";
import type { SpdyStream } from "./spdy/stream.ts";
import type { PortsTarget, ProcessTarget, StreamTarget } from "./target.ts";
import { acceptSpdy, acceptWebSocket, refuse, type Upgrade, wantedTransport } from "./upgrade.ts";
import { WebSocketChannels } from "./websocket/channels.ts";

export interface ServeOptions {
  readonly log: Logger;
  readonly streamCreationMs: number;
}

/** What the server needs of a connection in order to end it. */
export interface ServedConnection {
  readonly closed: Promise<void>;
  /** In good order: the client is told of `reason`. */
  close(reason: Error): void;
  destroy(): void;
}

/** Null when the client was refused. */
export function serveUpgrade(
  upgrade: Upgrade,
  target: StreamTarget,
  options: ServeOptions,
): ServedConnection | null {
  const transport = wantedTransport(upgrade);
  if (transport === null) {
    refuse(upgrade, 400, "unable to upgrade: the header Upgrade must be SPDY/3.1 or websocket");
    return null;
  }
  const served = new Served(upgrade, target, options);
  return (transport === "spdy" ? served.overSpdy() : served.overWebSocket()) ? served : null;
}

/** A transport, as far as its end goes. */
interface Carrier {
  finish(): void;
  destroy(): void;
}

class Served implements ServedConnection {
  readonly closed: Promise<void>;
  readonly #upgrade: Upgrade;
  readonly #target: StreamTarget;
  readonly #options: ServeOptions;
  readonly #call: Call;
  readonly #controller = new AbortController();
  readonly #end = Promise.withResolvers<void>();
  #carrier: Carrier = { finish: () => {}, destroy: () => this.#upgrade.socket.destroy() };
  #onGone: (() => void) | undefined;

  constructor(upgrade: Upgrade, target: StreamTarget, options: ServeOptions) {
    this.closed = this.#end.promise;
    this.#upgrade = upgrade;
    this.#target = target;
    this.#options = options;
    this.#call = { signal: this.#controller.signal, log: options.log, observeStep: () => {} };
  }

  close(reason: Error): void {
    this.#controller.abort(reason);
    // A process still tells its client; then it finishes by itself.
    if (this.#target.kind === "portforward") this.#carrier.finish();
  }

  destroy(): void {
    this.#carrier.destroy();
  }

  /** False when the client was refused. */
  overSpdy(): boolean {
    const isPorts = this.#target.kind === "portforward";
    const protocol = acceptSpdy(this.#upgrade, isPorts ? SPDY_PORT_PROTOCOLS : SPDY_PROCESS_PROTOCOLS);
    if (protocol === null) return false;
    const { socket, head } = this.#upgrade;
    if (this.#target.kind === "portforward") this.#portsOverSpdy(this.#target, socket, head);
    else this.#processOverSpdy(this.#target, protocol);
    return true;
  }

  overWebSocket(): boolean {
    const { socket } = this.#upgrade;
    const target = this.#target;
    // Until it is open, and when the handshake fails.
    socket.once("close", () => this.#gone(null));
    if (target.kind === "portforward") {
      acceptWebSocket(this.#upgrade, WEBSOCKET_PORT_PROTOCOLS, (webSocket, protocol) => {
        if (protocol === TUNNEL_PROTOCOL) this.#portsOverTunnel(target, webSocket);
        else this.#portsOverWebSocket(target, webSocket, protocol);
      });
    } else {
      acceptWebSocket(this.#upgrade, WEBSOCKET_PROCESS_PROTOCOLS, (webSocket, protocol) => {
        const channels = this.#channels(webSocket, protocol);
        const made = webSocketProcessChannels(channels, target, protocol);
        this.#finishAfter(joinProcess(target, made, this.#call));
      });
    }
    return true;
  }

  #processOverSpdy(target: ProcessTarget, protocol: ChannelProtocol): void {
    const collector = new StreamCollector(target, protocol, this.#options.streamCreationMs);
    this.#onGone = () => collector.fail(new BerthError("CANCELLED", "the client went away"));
    this.#controller.signal.addEventListener("abort", () => collector.fail(this.#call.signal.reason));
    const { socket, head } = this.#upgrade;
    this.#session(socket, head, (stream) => collector.take(stream));
    this.#finishAfter(collector.complete.then((channels) => joinProcess(target, channels, this.#call)));
  }

  #portsOverTunnel(target: PortsTarget, webSocket: WebSocket): void {
    const tunnel = createWebSocketStream(webSocket, { highWaterMark: 64 * 1024 });
    this.#portsOverSpdy(target, tunnel, Buffer.alloc(0));
  }

  #portsOverSpdy(target: PortsTarget, transport: Upgrade["socket"], head: Buffer): void {
    const pairs = new PortPairs(target, this.#call, this.#options.streamCreationMs);
    this.#onGone = () => pairs.close();
    this.#session(transport, head, (stream) => pairs.take(stream));
  }

  #portsOverWebSocket(target: PortsTarget, webSocket: WebSocket, protocol: ChannelProtocol): void {
    const channels = this.#channels(webSocket, protocol);
    const count = target.ports.length;
    if (count === 0 || count > MAX_WEBSOCKET_PORTS) {
      channels.finish(
        1008,
        `needs 1 to ${MAX_WEBSOCKET_PORTS} ports in the PortForward request, not ${count}`,
      );
      return;
    }
    this.#finishAfter(forwardPortsOverWebSocket(target, this.#call, channels));
  }

  #session(transport: Upgrade["socket"], head: Buffer, onStream: (stream: SpdyStream) => void): void {
    const session = new SpdySession(transport, head, {
      onStream,
      onClosed: (cause) => this.#gone(cause),
    });
    this.#carrier = session;
  }

  #channels(webSocket: WebSocket, protocol: ChannelProtocol): WebSocketChannels {
    const channels = new WebSocketChannels(webSocket, protocol);
    channels.onClosed = (cause) => this.#gone(cause);
    this.#carrier = channels;
    return channels;
  }

  #finishAfter(work: Promise<void>): void {
    work.then(
      () => this.#carrier.finish(),
      (error: unknown) => {
        this.#options.log.debug({ error: messageOf(error) }, "streaming: no streams");
        this.#carrier.finish();
      },
    );
  }

  #gone(cause: Error | null): void {
    if (cause !== null) {
      const fields = { kind: this.#target.kind, error: messageOf(cause) };
      this.#options.log.debug(fields, "streaming connection broke");
    }
    this.#controller.abort(new BerthError("CANCELLED", "the client went away"));
    this.#onGone?.();
    this.#onGone = undefined;
    this.#end.resolve();
  }
}
