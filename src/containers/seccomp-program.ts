// The compiled seccomp filter of a container, from the cache when the same was asked for before.

import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { SeccompRules } from "../kernel/kernel.ts";
import { BerthError, errnoOf, wrapError } from "../lib/errors.ts";
import type { SeccompTarget } from "../spec/inputs.ts";
import { seccompChoice } from "../spec/seccomp-choice.ts";
import { defaultSeccompRules } from "../spec/seccomp-default.ts";
import { parseSeccompProfile } from "../spec/seccomp-localhost.ts";
import type { ContainerSecurity } from "../types/container.ts";
import type { ContainerDeps } from "./deps.ts";

/** Null when the container is unconfined. NOT_FOUND for a Localhost profile that is not there. */
export async function seccompProgram(
  deps: ContainerDeps,
  security: ContainerSecurity,
): Promise<Uint8Array | null> {
  const source = await sourceOf(deps, security);
  return source === null ? null : await deps.seccomp.get(source.rules, source.key);
}

/** The same before it is compiled. */
export async function seccompRules(
  deps: ContainerDeps,
  security: ContainerSecurity,
): Promise<SeccompRules | null> {
  const source = await sourceOf(deps, security);
  return source === null ? null : source.rules();
}

interface RulesSource {
  readonly rules: () => SeccompRules;
  /** A short name of the rules, where there is one. */
  readonly key: string | undefined;
}

async function sourceOf(deps: ContainerDeps, security: ContainerSecurity): Promise<RulesSource | null> {
  const choice = seccompChoice({ security, lastCapability: deps.host.lastCapability });
  if (choice.type === "unconfined") return null;
  const target: SeccompTarget = {
    capabilities: choice.capabilities,
    architecture: architecture(),
    kernelRelease: deps.host.kernelRelease,
  };
  if (choice.type === "default") {
    return { rules: () => defaultSeccompRules(target), key: `default ${choice.capabilities}` };
  }
  const json = await readProfile(deps.config.seccompProfileDir, choice.name);
  return { rules: () => parseSeccompProfile(choice.name, json, target), key: undefined };
}

async function readProfile(directory: string, name: string): Promise<string> {
  try {
    return await readFile(resolve(directory, name), "utf8");
  } catch (error) {
    const code = errnoOf(error) === "ENOENT" ? "NOT_FOUND" : "INTERNAL";
    throw wrapError(`read seccomp profile "${resolve(directory, name)}"`, error, code);
  }
}

function architecture(): "x86_64" | "aarch64" {
  if (process.arch === "x64") return "x86_64";
  if (process.arch === "arm64") return "aarch64";
  throw new BerthError(
    "UNIMPLEMENTED",
    `seccomp: this machine's architecture "${process.arch}" is not known`,
  );
}
