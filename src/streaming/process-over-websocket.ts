// Exec and attach over WebSocket: every channel has its fixed number (Kubernetes, remotecommand).

import type { ProcessChannels } from "./join-process.ts";
import type { ChannelProtocol } from "./protocols.ts";
import type { ProcessTarget } from "./target.ts";
import type { WebSocketChannels } from "./websocket/channels.ts";

const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4 } as const;

/** The channels that `target` has; the client is told that they are there. */
export function webSocketProcessChannels(
  channels: WebSocketChannels,
  target: ProcessTarget,
  { version }: ChannelProtocol,
): ProcessChannels {
  const hasStderr = target.stderr && !target.tty;
  const made: ProcessChannels = {
    stdin: target.stdin ? channels.readable(CHANNEL.stdin) : null,
    stdout: target.stdout ? channels.writable(CHANNEL.stdout) : null,
    stderr: hasStderr ? channels.writable(CHANNEL.stderr) : null,
    resize: target.tty ? channels.readable(CHANNEL.resize) : null,
    error: channels.writable(CHANNEL.error),
    version,
  };
  channels.greet(target.stdout ? CHANNEL.stdout : hasStderr ? CHANNEL.stderr : CHANNEL.error);
  return made;
}
