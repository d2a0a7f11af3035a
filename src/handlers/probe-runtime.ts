// What an OCI runtime can do: asked of the program itself, once.

import { execFile } from "node:child_process";
import Type from "typebox";
import Value from "typebox/value";
import { errnoOf } from "../lib/errors.ts";
import type { HandlerFeatures, OciHandler } from "../types/handler.ts";

export interface RuntimeFacts extends HandlerFeatures {
  readonly execsInCgroup: boolean;
}

/** A runtime that answers nothing sensible is taken for one that can nothing special. */
const TIMEOUT_MS = 5_000;
const MAX_OUTPUT_BYTES = 1024 * 1024;

/** The part of `features` (OCI runtime specification, features.md) that is looked at. */
const Features = Type.Object({
  mountOptions: Type.Optional(Type.Array(Type.String())),
  linux: Type.Optional(
    Type.Object({
      namespaces: Type.Optional(Type.Array(Type.String())),
      mountExtensions: Type.Optional(
        Type.Object({ idmap: Type.Optional(Type.Object({ enabled: Type.Optional(Type.Boolean()) })) }),
      ),
    }),
  ),
});

/**
 * Runs `<runtime> features` and `<runtime> exec --help`. What the program does not say of itself counts as
 * missing. Rejects only when it cannot be executed.
 */
export async function probeRuntime(handler: Pick<OciHandler, "path" | "args">): Promise<RuntimeFacts> {
  const [features, help] = await Promise.all([ask(handler, ["features"]), ask(handler, ["exec", "--help"])]);
  return { ...featuresOf(features), execsInCgroup: /(^|\s)--cgroup[=\s]/m.test(help) };
}

/** Conservative: user namespaces need idmapped mounts too, or the root file system belongs to nobody. */
export function featuresOf(text: string): HandlerFeatures {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { recursiveReadOnlyMounts: false, userNamespaces: false };
  }
  if (!Value.Check(Features, json)) return { recursiveReadOnlyMounts: false, userNamespaces: false };
  return {
    recursiveReadOnlyMounts: json.mountOptions?.includes("rro") === true,
    // berth maps no ids for foreign runtimes.
    userNamespaces: false,
  };
}

function ask({ path, args }: Pick<OciHandler, "path" | "args">, command: string[]): Promise<string> {
  const options = {
    timeout: TIMEOUT_MS,
    killSignal: "SIGKILL",
    maxBuffer: MAX_OUTPUT_BYTES,
    env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
  } as const;
  return new Promise((resolve, reject) => {
    execFile(path, [...args, ...command], options, (error, stdout) => {
      // Without an errno it ran: this runtime does not know the command, or says more than anybody reads.
      if (errnoOf(error) !== undefined) reject(error);
      else resolve(error === null ? stdout : "");
    }).stdin?.end();
  });
}
