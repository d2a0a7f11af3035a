// Published ports: -p [[ip:]host:]container[/protocol], each port also a range; and forwarded ones:
// [local:]port.

import { isIP } from "node:net";
import { UsageError } from "../errors.ts";

export interface PublishedPort {
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly containerPort: number;
  readonly hostPort: number;
  readonly hostIp: string;
}

/** The mappings that one -p names. @throws UsageError */
export function readPort(text: string): PublishedPort[] {
  const wrong = (why: string) => new UsageError(`invalid value "${text}" for --publish: ${why}`, 125);
  const match = /^(?:(?:\[([^\]]*)\]|([^:[\]]*)):)?(?:([\d-]*):)?([\d-]+)(?:\/(\w+))?$/.exec(text);
  if (match === null) throw wrong("expected [[ip:]host-port:]container-port[/tcp|udp|sctp]");
  const [, bracketed, plain, between, inside = "", protocol = "tcp"] = match;
  if (protocol !== "tcp" && protocol !== "udp" && protocol !== "sctp")
    throw wrong(`unknown protocol "${protocol}"`);
  // "8080:80" has its host port where an address would stand.
  const addressGiven = between !== undefined;
  const hostIp = addressGiven ? (bracketed ?? plain ?? "") : "";
  const outside = addressGiven ? between : (bracketed ?? plain);
  if (hostIp !== "" && isIP(hostIp) === 0) throw wrong(`"${hostIp}" is no IP address`);
  const containerPorts = readRange(inside);
  if (containerPorts === null) throw wrong("ports are numbers from 1 to 65535");
  if (outside === undefined || outside === "") {
    throw wrong("name the host port too: berth does not choose one, such as 8080:80");
  }
  const hostPorts = readRange(outside);
  if (hostPorts === null) throw wrong("ports are numbers from 1 to 65535");
  if (hostPorts.length !== containerPorts.length) throw wrong("the ranges differ in length");
  return containerPorts.map((containerPort, index) => ({
    protocol,
    containerPort,
    hostPort: hostPorts[index] as number,
    hostIp,
  }));
}

export interface ForwardedPort {
  /** 0: a free one. */
  readonly local: number;
  readonly remote: number;
}

/** "8080:80", "80" (the same on both sides), ":80" (a free local port). @throws UsageError */
export function readForward(text: string): ForwardedPort {
  const match = /^(?:(\d{0,5}):)?(\d{1,5})$/.exec(text);
  const remote = Number(match?.[2] ?? 0);
  const local = match?.[1] === undefined ? remote : Number(match[1]);
  if (match === null || remote < 1 || remote > 65_535 || local > 65_535) {
    throw new UsageError(`invalid port "${text}": expected [LOCAL:]PORT, with numbers from 1 to 65535`);
  }
  return { local, remote };
}

function readRange(text: string): number[] | null {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (match === null) return null;
  const first = Number(match[1]);
  const last = match[2] === undefined ? first : Number(match[2]);
  if (first < 1 || last > 65535 || last < first) return null;
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}
