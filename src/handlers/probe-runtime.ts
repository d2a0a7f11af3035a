// What an OCI runtime can do: asked of the program itself, once.

import { execFile } from "node:child_process";
import Type from "typebox";
import Value from "typebox/value";
import { errnoOf } from "../lib/errors.ts";
import type { OciHandler } from "../types/handler.ts";

export interface RuntimeFacts {
  readonly execsInCgroup: boolean;
  /** Its name and version in its own words; "" when it has none. */
  readonly version: string;
  /** What it lacks for user namespaces of pods; "" when it has all. */
  readonly userNamespacesMissing: string;
}

/** A runtime that answers nothing sensible is taken for one that can nothing special. */
const TIMEOUT_MS = 5_000;
const MAX_OUTPUT_BYTES = 1024 * 1024;
const MAX_VERSION = 100;

/** The part of `features` (OCI runtime specification, features.md) that is looked at. */
const Features = Type.Object({
  linux: Type.Optional(Type.Object({ namespaces: Type.Optional(Type.Array(Type.String())) })),
});

/**
 * Runs `<runtime> features`, `--version` and `exec --help`. What the program does not say of itself counts as
 * missing. Rejects only when it cannot be executed.
 */
export async function probeRuntime(handler: Pick<OciHandler, "path" | "args">): Promise<RuntimeFacts> {
  const words = [["features"], ["--version"], ["exec", "--help"]];
  const [features = "", version = "", help = ""] = await Promise.all(words.map((word) => ask(handler, word)));
  return {
    execsInCgroup: /(^|\s)--cgroup[=\s]/m.test(help),
    version: (version.split("\n")[0] ?? "").trim().slice(0, MAX_VERSION),
    userNamespacesMissing: userNamespacesMissing(features, version),
  };
}

/**
 * A runtime has to join a user namespace by its path and to take bind mounts; ids are mapped for it. Both are
 * in the OCI runtime specification since 1.0.0. `features`, which came later, counts before the version.
 */
export function userNamespacesMissing(features: string, version: string): string {
  const namespaces = namespacesIn(features);
  if (namespaces !== null) {
    return namespaces.includes("user")
      ? ""
      : '"features" does not list "user" among the namespaces that it knows';
  }
  const spec = /^spec: (\d+)\./m.exec(version)?.[1];
  if (spec !== undefined && Number(spec) >= 1) return "";
  return 'neither "features" nor "--version" says that it follows the OCI runtime specification 1.0 or later';
}

function namespacesIn(text: string): readonly string[] | null {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return null;
  }
  return Value.Check(Features, json) ? (json.linux?.namespaces ?? null) : null;
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
