// Port-forward over a plain WebSocket (Kubernetes, portforward v4): two channels for each port that the URL
// was granted for, data and error, in the order of the ports. Each begins with its port, two bytes, little
// endian.

import type { Call } from "../lib/call.ts";
import { forwardPort } from "./forward-port.ts";
import type { PortsTarget } from "./target.ts";
import type { WebSocketChannels } from "./websocket/channels.ts";

/** A channel's number is one byte, and 255 is a signal. */
export const MAX_WEBSOCKET_PORTS = 127;

/** Serves until all connections have ended. */
export async function forwardPortsOverWebSocket(
  target: PortsTarget,
  call: Call,
  channels: WebSocketChannels,
): Promise<void> {
  await Promise.all(
    target.ports.map(async (port, index) => {
      const name = Buffer.alloc(2);
      name.writeUInt16LE(port);
      const input = channels.readable(2 * index);
      const output = channels.writable(2 * index);
      const error = channels.writable(2 * index + 1);
      output.write(name);
      error.write(name);
      const reset = () => void input.destroy();
      await forwardPort(target, call, port, { input, output, error, halfCloses: false, reset });
    }),
  );
}
