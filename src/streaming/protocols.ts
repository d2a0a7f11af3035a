// The names under which streams are offered, and what each of them means (Kubernetes, remotecommand and
// portforward). The client's order decides.

/** How a process's streams travel. */
export interface ChannelProtocol {
  readonly name: string;
  /** 1 to 5: from 3 on the terminal's size has a channel, from 4 on the outcome is a JSON Status. */
  readonly version: number;
  /** WebSocket: channels are digits and data is base64 in text messages. */
  readonly isBase64: boolean;
}

const named = (name: string, version: number, isBase64 = false): ChannelProtocol => ({
  name,
  version,
  isBase64,
});

/** In the header X-Stream-Protocol-Version of a SPDY upgrade. */
export const SPDY_PROCESS_PROTOCOLS: readonly ChannelProtocol[] = [
  named("v5.channel.k8s.io", 5),
  named("v4.channel.k8s.io", 4),
  named("v3.channel.k8s.io", 3),
  named("v2.channel.k8s.io", 2),
  named("channel.k8s.io", 1),
];

/** As Sec-WebSocket-Protocol; the unnamed one is that of clients which offer none. */
export const WEBSOCKET_PROCESS_PROTOCOLS: readonly ChannelProtocol[] = [
  named("v5.channel.k8s.io", 5),
  named("v5.base64.channel.k8s.io", 5, true),
  named("v4.channel.k8s.io", 4),
  named("v4.base64.channel.k8s.io", 4, true),
  named("channel.k8s.io", 1),
  named("base64.channel.k8s.io", 1, true),
  named("", 1),
];

export const SPDY_PORT_PROTOCOLS: readonly ChannelProtocol[] = [named("portforward.k8s.io", 1)];

/** A whole SPDY connection within the messages of a WebSocket. */
export const TUNNEL_PROTOCOL = named("SPDY/3.1+portforward.k8s.io", 1);

export const WEBSOCKET_PORT_PROTOCOLS: readonly ChannelProtocol[] = [
  TUNNEL_PROTOCOL,
  named("v4.channel.k8s.io", 4),
  named("v4.base64.channel.k8s.io", 4, true),
  named("portforward.k8s.io", 4),
  named("", 4),
];

/** Names in headers of which several may be there, each with commas. */
export function offeredNames(header: string | undefined): string[] {
  return (header ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}

/** The first offered one that is known; without an offer the unnamed one, where there is one. */
export function chooseProtocol(
  offered: readonly string[],
  known: readonly ChannelProtocol[],
): ChannelProtocol | null {
  for (const name of offered.length === 0 ? [""] : offered) {
    const found = known.find((protocol) => protocol.name === name);
    if (found !== undefined) return found;
  }
  return null;
}
