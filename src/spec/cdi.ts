// Container Device Interface: from the names that a container asks for to what changes in it.

import Value from "typebox/value";
import { BerthError } from "../lib/errors.ts";
import { type CdiEdits, type CdiMount, CdiSpec } from "../types/cdi.ts";
import type { ContainerConfig, ContainerMount, EnvVar } from "../types/container.ts";
import { bytesOf } from "./process.ts";

/** Annotations under this prefix name devices as well ("cdi.k8s.io/<who>": "vendor/class=name,…"). */
const ANNOTATION_PREFIX = "cdi.k8s.io/";
const QUALIFIED_NAME = /^[A-Za-z][A-Za-z0-9_.-]*\/[A-Za-z][A-Za-z0-9_-]*=[A-Za-z0-9][A-Za-z0-9_.:-]*$/;

/** One specification file. Throws INVALID_ARGUMENT that says which key is wrong; the caller adds the file. */
export function parseCdiSpec(value: unknown): CdiSpec {
  const wrong = Value.Errors(CdiSpec, value)[0];
  if (wrong === undefined) return value as CdiSpec;
  const key = wrong.instancePath === "" ? "the document" : `"${wrong.instancePath.slice(1)}"`;
  throw new BerthError("INVALID_ARGUMENT", `${key} ${wrong.message}`);
}

/** The devices that a container asks for, by field and by annotation, each once, in order. */
export function cdiNames(config: Pick<ContainerConfig, "cdiDevices" | "annotations">): string[] {
  const annotated = Object.entries(config.annotations)
    .filter(([key]) => key.startsWith(ANNOTATION_PREFIX))
    .flatMap(([, value]) => value.split(",").map((name) => name.trim()))
    .filter((name) => name !== "");
  const names = [...new Set([...config.cdiDevices, ...annotated])];
  for (const name of names) {
    if (QUALIFIED_NAME.test(name)) continue;
    throw new BerthError(
      "INVALID_ARGUMENT",
      `CDI device ${JSON.stringify(name)}: must be a name such as "vendor.example/class=device"`,
    );
  }
  return names;
}

/** Edits of several devices as one. */
export function joinEdits(edits: readonly CdiEdits[]): Required<CdiEdits> {
  return {
    env: edits.flatMap((one) => one.env ?? []),
    deviceNodes: edits.flatMap((one) => one.deviceNodes ?? []),
    mounts: edits.flatMap((one) => one.mounts ?? []),
    hooks: edits.flatMap((one) => one.hooks ?? []),
    additionalGids: [...new Set(edits.flatMap((one) => one.additionalGids ?? []))],
  };
}

/** `config` with the variables, mounts and groups of the edits; theirs win over those of the same name. */
export function editedConfig(config: ContainerConfig, edits: Required<CdiEdits>): ContainerConfig {
  const mounts = edits.mounts.map(mountOf);
  const taken = new Set(mounts.map((mount) => mount.containerPath));
  const { security } = config;
  return {
    ...config,
    envs: [...config.envs, ...edits.env.map(variableOf)],
    mounts: [...config.mounts.filter((mount) => !taken.has(mount.containerPath)), ...mounts],
    security: {
      ...security,
      supplementalGroups: [...new Set([...security.supplementalGroups, ...edits.additionalGids])],
    },
  };
}

function variableOf(entry: string): EnvVar {
  const bytes = bytesOf(entry);
  const equals = bytes.indexOf("=");
  return { name: bytes.slice(0, equals), value: bytes.slice(equals + 1) };
}

const PROPAGATIONS: Readonly<Record<string, ContainerMount["propagation"]>> = {
  private: "PRIVATE",
  rprivate: "PRIVATE",
  slave: "HOST_TO_CONTAINER",
  rslave: "HOST_TO_CONTAINER",
  shared: "BIDIRECTIONAL",
  rshared: "BIDIRECTIONAL",
};
const ATTRIBUTES = ["noexec", "nodev", "nosuid"];
/** What every bind mount is anyway. */
const PLAIN = ["bind", "rbind", "rw", "exec", "dev", "suid"];

function mountOf({ hostPath, containerPath, type = "", options = [] }: CdiMount): ContainerMount {
  const refuse = (what: string): never => {
    throw new BerthError("UNIMPLEMENTED", `mount "${containerPath}" of a CDI device: ${what}`);
  };
  if (type !== "" && type !== "bind" && type !== "none") refuse(`type "${type}"; only bind mounts are known`);
  let propagation: ContainerMount["propagation"] = "PRIVATE";
  for (const option of options) {
    const named = PROPAGATIONS[option];
    if (named !== undefined) propagation = named;
    else if (option !== "ro" && !ATTRIBUTES.includes(option) && !PLAIN.includes(option)) {
      refuse(`option "${option}" is not known`);
    }
  }
  return {
    containerPath,
    hostPath,
    readonly: options.includes("ro"),
    selinuxRelabel: false,
    propagation,
    uidMappings: [],
    gidMappings: [],
    recursiveReadOnly: false,
    image: undefined,
    imageSubPath: "",
    mountOptions: options.filter((option) => ATTRIBUTES.includes(option)),
  };
}
