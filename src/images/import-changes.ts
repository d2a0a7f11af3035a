// Changes to the config of an imported image, in the words of a Dockerfile: CMD, ENTRYPOINT, ENV, EXPOSE,
// LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR.

import { BerthError } from "../lib/errors.ts";

export interface RuntimeChanges {
  Cmd?: string[];
  Entrypoint?: string[];
  Env?: string[];
  ExposedPorts?: Record<string, object>;
  Labels?: Record<string, string>;
  StopSignal?: string;
  User?: string;
  Volumes?: Record<string, object>;
  WorkingDir?: string;
}

/** The "config" member that the changes make. INVALID_ARGUMENT names the one that cannot be understood. */
export function applyChanges(changes: readonly string[]): RuntimeChanges {
  const config: RuntimeChanges = {};
  for (const change of changes) {
    const match = /^\s*([A-Za-z]+)\s+(\S.*?)\s*$/s.exec(change);
    const refuse = (why: string) => new BerthError("INVALID_ARGUMENT", `change "${change}": ${why}`);
    if (match === null) throw refuse('it must be an instruction and its value, such as CMD ["/bin/sh"]');
    applyOne(config, (match[1] as string).toUpperCase(), match[2] as string, refuse);
  }
  return config;
}

function applyOne(
  config: RuntimeChanges,
  instruction: string,
  value: string,
  refuse: (why: string) => BerthError,
): void {
  switch (instruction) {
    case "CMD":
      config.Cmd = commandOf(value);
      return;
    case "ENTRYPOINT":
      config.Entrypoint = commandOf(value);
      return;
    case "ENV":
      config.Env = [
        ...(config.Env ?? []),
        ...pairsOf(value, refuse).map(([name, text]) => `${name}=${text}`),
      ];
      return;
    case "LABEL":
      config.Labels = { ...config.Labels, ...Object.fromEntries(pairsOf(value, refuse)) };
      return;
    case "EXPOSE":
      for (const port of value.split(/\s+/)) {
        if (!/^\d{1,5}(?:\/(?:tcp|udp|sctp))?$/.test(port)) throw refuse(`"${port}" is no port`);
        config.ExposedPorts = { ...config.ExposedPorts, [port.includes("/") ? port : `${port}/tcp`]: {} };
      }
      return;
    case "VOLUME":
      for (const path of jsonListOf(value) ?? value.split(/\s+/)) {
        config.Volumes = { ...config.Volumes, [path]: {} };
      }
      return;
    case "USER":
      config.User = value;
      return;
    case "WORKDIR":
      config.WorkingDir = value;
      return;
    case "STOPSIGNAL":
      config.StopSignal = value;
      return;
    default:
      throw refuse(`there is no "${instruction}" here`);
  }
}

/** A JSON list as it is, anything else for the shell. */
function commandOf(value: string): string[] {
  return jsonListOf(value) ?? ["/bin/sh", "-c", value];
}

function jsonListOf(value: string): string[] | undefined {
  if (!value.startsWith("[")) return undefined;
  try {
    const list: unknown = JSON.parse(value);
    if (Array.isArray(list) && list.every((item) => typeof item === "string")) return list as string[];
  } catch {
    // Then it is a command that begins with a bracket.
  }
  return undefined;
}

/** NAME=value pairs, values may be quoted; "NAME value" in the older form. */
function pairsOf(value: string, refuse: (why: string) => BerthError): [string, string][] {
  const older = /^([^\s=]+)\s+(.+)$/s.exec(value);
  if (older !== null) return [[older[1] as string, older[2] as string]];
  const pairs: [string, string][] = [];
  const pattern = /([^\s=]+)=("(?:[^"\\]|\\.)*"|'[^']*'|\S*)(?:\s+|$)/gy;
  let at = 0;
  for (const match of value.matchAll(pattern)) {
    at = match.index + match[0].length;
    pairs.push([match[1] as string, unquoted(match[2] as string)]);
  }
  if (at !== value.length || pairs.length === 0) throw refuse("it must be NAME=value");
  return pairs;
}

function unquoted(text: string): string {
  if (text.startsWith('"')) return text.slice(1, -1).replace(/\\(.)/gs, "$1");
  return text.startsWith("'") ? text.slice(1, -1) : text;
}
