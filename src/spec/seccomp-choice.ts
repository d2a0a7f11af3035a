import { posix } from "node:path";
import { BerthError } from "../lib/errors.ts";
import { capabilitySets } from "./capabilities.ts";
import type { SeccompChoice, SeccompChoiceInput } from "./inputs.ts";

/**
 * Which filter a container gets (cri-api, SecurityProfile): none when it is privileged or names no profile.
 * INVALID_ARGUMENT for a Localhost reference that leaves the profile directory.
 */
export function seccompChoice({ security, lastCapability }: SeccompChoiceInput): SeccompChoice {
  const profile = security.seccomp;
  if (security.privileged || profile === undefined || profile.type === "Unconfined") {
    return { type: "unconfined" };
  }
  const host = { lastCapability, capSysResource: true, deviceFilter: true };
  const { bounding } = capabilitySets(security, false, 0, host);
  if (profile.type === "RuntimeDefault") return { type: "default", capabilities: bounding };
  return { type: "localhost", name: profileName(profile.localhostRef), capabilities: bounding };
}

/**
 * Clients write "localhost/profile.json", or "profile.json", or, as the kubelet does, the absolute path of a
 * file; the last is for the caller to confine.
 */
function profileName(reference: string): string {
  const name = reference.replace(/^localhost\//, "");
  const clean = posix.normalize(name);
  if (name !== "" && !name.includes("\0") && clean !== "." && !clean.split("/").includes("..")) return clean;
  throw new BerthError(
    "INVALID_ARGUMENT",
    `seccomp profile ${JSON.stringify(reference)}: must be a path beneath the profile directory`,
  );
}
