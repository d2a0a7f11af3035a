// Volumes: -v host-path:container-path[:options].

import { isAbsolute, resolve } from "node:path";
import { UsageError } from "../errors.ts";

export interface Volume {
  readonly hostPath: string;
  readonly containerPath: string;
  readonly readonly: boolean;
  readonly propagation: "private" | "rslave" | "rshared";
  readonly relabel: boolean;
}

/** What one -v names; a host path that begins with "." is taken from `directory`. @throws UsageError */
export function readVolume(text: string, directory: string): Volume {
  const wrong = (why: string) => new UsageError(`invalid value "${text}" for --volume: ${why}`, 125);
  const [host = "", container, options = "", ...more] = text.split(":");
  if (container === undefined)
    throw wrong("expected host-path:container-path[:ro]; berth has no anonymous volumes");
  if (more.length > 0) throw wrong("too many colons");
  const relative = host === "." || host === ".." || host.startsWith("./") || host.startsWith("../");
  if (!isAbsolute(host) && !relative) {
    throw wrong(`"${host}" is no path: berth has no named volumes; write /${host} or ./${host}`);
  }
  if (!isAbsolute(container)) throw wrong(`the container path "${container}" must begin with "/"`);
  let volume: Volume = {
    hostPath: resolve(directory, host),
    containerPath: container,
    readonly: false,
    propagation: "private",
    relabel: false,
  };
  for (const option of options === "" ? [] : options.split(",")) {
    const change = Object.hasOwn(OPTIONS, option) ? OPTIONS[option] : undefined;
    if (change === undefined) throw wrong(`unknown option "${option}"`);
    volume = { ...volume, ...change };
  }
  return volume;
}

const OPTIONS: Readonly<Record<string, Partial<Volume>>> = {
  ro: { readonly: true },
  rw: { readonly: false },
  z: { relabel: true },
  Z: { relabel: true },
  private: { propagation: "private" },
  rprivate: { propagation: "private" },
  slave: { propagation: "rslave" },
  rslave: { propagation: "rslave" },
  shared: { propagation: "rshared" },
  rshared: { propagation: "rshared" },
};
