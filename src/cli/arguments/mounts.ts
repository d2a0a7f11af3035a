// Mounts in docker's long form: --mount type=bind|image,source=...,target=...[,readonly][,...].

import { isAbsolute, resolve } from "node:path";
import { UsageError } from "../errors.ts";
import type { Volume } from "./volumes.ts";

/** An image as a volume, or a part of it; always read-only. */
export interface ImageMount {
  readonly image: string;
  readonly subPath: string;
  readonly containerPath: string;
}

const NAMES: Readonly<Record<string, string>> = {
  type: "type",
  source: "source",
  src: "source",
  target: "target",
  destination: "target",
  dst: "target",
  readonly: "readonly",
  ro: "readonly",
  "image-subpath": "subpath",
  subpath: "subpath",
  "bind-propagation": "propagation",
};

const PROPAGATIONS: ReadonlyMap<string, Volume["propagation"]> = new Map([
  ["private", "private"],
  ["rprivate", "private"],
  ["rslave", "rslave"],
  ["rshared", "rshared"],
]);

/** What one --mount names; a source that begins with "." is taken from `directory`. @throws UsageError */
export function readMount(text: string, directory: string): Volume | ImageMount {
  const wrong = (why: string) => new UsageError(`invalid value "${text}" for --mount: ${why}`, 125);
  const fields = fieldsOf(text, wrong);
  const { type = "bind", source = "", target = "", subpath = "", propagation } = fields;
  if (source === "") throw wrong("it needs a source");
  if (!isAbsolute(target)) throw wrong(`the target "${target}" must begin with "/"`);
  if (type === "image") {
    if (fields.readonly === "false") throw wrong("an image is mounted read-only");
    if (propagation !== undefined) throw wrong("bind-propagation is for type=bind");
    return { image: source, subPath: subpath, containerPath: target };
  }
  if (type !== "bind") throw wrong(`there is no type "${type}"; there are "bind" and "image"`);
  if (subpath !== "") throw wrong("image-subpath is for type=image");
  if (!isAbsolute(source) && !source.startsWith(".")) throw wrong(`the source "${source}" is no path`);
  const chosen = PROPAGATIONS.get(propagation ?? "private");
  if (chosen === undefined) throw wrong(`there is no propagation "${propagation}"`);
  return {
    hostPath: resolve(directory, source),
    containerPath: target,
    readonly: fields.readonly !== undefined && fields.readonly !== "false",
    propagation: chosen,
    relabel: false,
  };
}

function fieldsOf(text: string, wrong: (why: string) => UsageError): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const part of text.split(",")) {
    const [key = "", ...rest] = part.split("=");
    const name = Object.hasOwn(NAMES, key) ? NAMES[key] : undefined;
    if (name === undefined) throw wrong(`unknown key "${key}"`);
    if (name in fields) throw wrong(`two values for ${name}`);
    if (rest.length === 0 && name !== "readonly") throw wrong(`"${key}" needs a value`);
    fields[name] = rest.length === 0 ? "true" : rest.join("=");
  }
  return fields;
}
