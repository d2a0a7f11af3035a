// The configuration: /etc/berth/berth.toml, then the command line. An unknown key is an error, since a
// misspelt one would otherwise silently leave its default in force.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { parse as parseToml } from "smol-toml";
import { type Static, Type } from "typebox";
import Value from "typebox/value";
import { defaultHandlerOf, HandlersSchema, handlersOf } from "./config/handlers.ts";
import { ImagesSchema, imagesOf } from "./config/images.ts";
import { RegistrySchema, registryOf } from "./config/registry.ts";
import { StreamingSchema, streamingOf } from "./config/streaming.ts";
import { UserNamespacesSchema, userNamespacesOf } from "./config/user-namespaces.ts";
import { absolutePath } from "./config/values.ts";
import { BerthError, errnoOf, messageOf } from "./lib/errors.ts";
import { nearest } from "./lib/nearest.ts";
import type { BerthConfig } from "./types/config.ts";

export const DEFAULT_CONFIG_FILE = "/etc/berth/berth.toml";
/** sockaddr_un.sun_path holds 108 bytes, the last one a NUL. */
const MAX_SOCKET_PATH = 107;
/** What sockets of terminals add to the state directory: "/o/", 20 digits, "/c" and 6 digits. */
const STATE_SOCKET_SUFFIX = 31;

/** Keys of berth.toml, as written there. examples/berth.toml explains each. */
const FileSchema = Type.Object({
  root: Type.Optional(absolutePath),
  state: Type.Optional(absolutePath),
  socket: Type.Optional(absolutePath),
  log_level: Type.Optional(Type.Enum(["debug", "info", "warn", "error"])),
  cgroup_parent: Type.Optional(absolutePath),
  cgroup_driver: Type.Optional(Type.Enum(["cgroupfs", "systemd"])),
  missing_controller: Type.Optional(Type.Enum(["refuse", "warn"])),
  seccomp_profile_dir: Type.Optional(absolutePath),
  cdi_spec_dirs: Type.Optional(Type.Array(absolutePath)),
  force_legacy_overlay: Type.Optional(Type.Boolean()),
  network: Type.Optional(
    Type.Object({
      cni_conf_dir: Type.Optional(absolutePath),
      cni_bin_dirs: Type.Optional(Type.Array(absolutePath, { minItems: 1 })),
      default_subnet: Type.Optional(Type.String({ pattern: "^[0-9.]+/[0-9]+$" })),
      default_subnet_v6: Type.Optional(Type.String({ pattern: "^[0-9a-fA-F:]+/[0-9]+$" })),
      max_networks: Type.Optional(Type.Integer({ minimum: 1, maximum: 16 })),
      plugin_timeout_seconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 3600 })),
      bridge_name: Type.Optional(Type.String({ pattern: "^[A-Za-z0-9_.-]{1,15}$" })),
    }),
  ),
  images: Type.Optional(ImagesSchema),
  streaming: Type.Optional(StreamingSchema),
  user_namespaces: Type.Optional(UserNamespacesSchema),
  default_handler: Type.Optional(Type.String()),
  handlers: Type.Optional(HandlersSchema),
  hooks_dirs: Type.Optional(Type.Array(absolutePath)),
  registry: Type.Optional(RegistrySchema),
});

type FileConfig = Static<typeof FileSchema>;

/** What the command line may say; each one wins over the file. */
export interface Flags {
  readonly config?: string | undefined;
  readonly root?: string | undefined;
  readonly state?: string | undefined;
  readonly socket?: string | undefined;
  readonly logLevel?: string | undefined;
  readonly logFile?: string | undefined;
  readonly help?: boolean | undefined;
}

/** Parses berthd's arguments. INVALID_ARGUMENT names the one that is not known. */
export function parseFlags(argv: readonly string[]): Flags {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        config: { type: "string" },
        root: { type: "string" },
        state: { type: "string" },
        socket: { type: "string" },
        "log-level": { type: "string" },
        "log-file": { type: "string" },
        help: { type: "boolean", short: "h" },
      },
      allowPositionals: false,
    });
    const { "log-level": logLevel, "log-file": logFile, ...rest } = values;
    return { ...rest, logLevel, logFile };
  } catch (error) {
    throw new BerthError("INVALID_ARGUMENT", `${messageOf(error)}; see berthd --help`, { cause: error });
  }
}

/** Reads the file and lays the flags over it. A missing file is fine unless --config names it. */
export function loadConfig(flags: Flags): BerthConfig {
  const path = flags.config ?? DEFAULT_CONFIG_FILE;
  let text = "";
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (errnoOf(error) !== "ENOENT" || flags.config !== undefined) {
      throw new BerthError("INVALID_ARGUMENT", `read configuration "${path}": ${messageOf(error)}`);
    }
  }
  return makeConfig(parseConfigFile(text, path), flags);
}

/** INVALID_ARGUMENT with the place and the key for what is no TOML, no known key, or no legal value. */
export function parseConfigFile(text: string, path: string): FileConfig {
  let table: unknown;
  try {
    table = parseToml(text);
  } catch (error) {
    throw new BerthError("INVALID_ARGUMENT", `configuration "${path}": ${messageOf(error)}`);
  }
  const unknown = unknownKey(FileSchema as unknown as SchemaNode, table, "");
  if (unknown !== null) throw new BerthError("INVALID_ARGUMENT", `configuration "${path}": ${unknown}`);
  const wrong = Value.Errors(FileSchema, table)[0];
  if (wrong === undefined) return table as FileConfig;
  const key = wrong.instancePath.slice(1).replaceAll("/", ".").replaceAll("~1", "/");
  const allowed = (wrong.params as { allowedValues?: unknown[] }).allowedValues;
  const which = allowed === undefined ? "" : `: ${allowed.map((one) => JSON.stringify(one)).join(", ")}`;
  const kind = descriptionAt(wrong.schemaPath);
  const what = wrong.keyword === "pattern" && kind !== undefined ? `must be ${kind}` : wrong.message;
  throw new BerthError("INVALID_ARGUMENT", `configuration "${path}": key "${key}" ${what}${which}`);
}

/** Of the schema that `path`, such as "#/properties/root", points to. */
function descriptionAt(path: string): string | undefined {
  const steps = path.split("/").slice(1);
  const at = steps.reduce<unknown>((node, step) => (node as Record<string, unknown>)?.[step], FileSchema);
  return (at as { description?: string } | undefined)?.description;
}

interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly patternProperties?: Readonly<Record<string, SchemaNode>>;
}

/** A sentence about the first key that the schema lacks, or null. */
function unknownKey(schema: SchemaNode, value: unknown, at: string): string | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const { properties, patternProperties } = schema;
  const any = patternProperties === undefined ? undefined : Object.values(patternProperties)[0];
  for (const [key, inner] of Object.entries(value)) {
    const known = properties?.[key] ?? any;
    if (known === undefined) {
      if (properties === undefined) return null;
      const near = nearest(key, Object.keys(properties));
      return `unknown key "${at}${key}"; the nearest known one is "${at}${near}"`;
    }
    const found = unknownKey(known, inner, `${at}${key}.`);
    if (found !== null) return found;
  }
  return null;
}

/** Fills in the defaults and checks what only the whole can tell. */
export function makeConfig(file: FileConfig, flags: Flags = {}): BerthConfig {
  const state = pathFlag("--state", flags.state) ?? file.state ?? "/run/berth";
  const handlers = handlersOf(file.handlers);
  const config: BerthConfig = {
    root: pathFlag("--root", flags.root) ?? file.root ?? "/var/lib/berth",
    state,
    socket: pathFlag("--socket", flags.socket) ?? file.socket ?? `${state}/berth.sock`,
    cgroupParent: file.cgroup_parent ?? "/berth",
    cgroupDriver: file.cgroup_driver ?? "cgroupfs",
    missingController: file.missing_controller ?? "refuse",
    logLevel: logLevel(flags.logLevel) ?? file.log_level ?? "info",
    registry: registryOf(file.registry, process.env),
    images: imagesOf(file.images),
    network: {
      cniConfDir: file.network?.cni_conf_dir ?? "/etc/cni/net.d",
      cniBinDirs: file.network?.cni_bin_dirs ?? ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"],
      defaultSubnet: file.network?.default_subnet ?? "10.88.0.0/16",
      defaultSubnetV6: file.network?.default_subnet_v6 ?? "",
      bridgeName: file.network?.bridge_name ?? "berth0",
      maxNetworks: file.network?.max_networks ?? 1,
      pluginTimeoutMs: (file.network?.plugin_timeout_seconds ?? 60) * 1000,
    },
    streaming: streamingOf(file.streaming),
    userNamespaces: userNamespacesOf(file.user_namespaces),
    cdiSpecDirs: file.cdi_spec_dirs ?? ["/etc/cdi", "/var/run/cdi"],
    handlers,
    defaultHandler: defaultHandlerOf(file.default_handler, handlers),
    hooksDirs: file.hooks_dirs ?? [],
    seccompProfileDir: file.seccomp_profile_dir ?? "/var/lib/kubelet/seccomp",
    forceLegacyOverlay: file.force_legacy_overlay ?? false,
  };
  checkWhole(config);
  return config;
}

function pathFlag(flag: string, value: string | undefined): string | undefined {
  if (value === undefined || value.startsWith("/")) return value;
  throw new BerthError("INVALID_ARGUMENT", `${flag} "${value}" is not an absolute path`);
}

function logLevel(value: string | undefined): BerthConfig["logLevel"] | undefined {
  if (value === undefined) return undefined;
  if (value === "debug" || value === "info" || value === "warn" || value === "error") return value;
  throw new BerthError("INVALID_ARGUMENT", `--log-level "${value}": must be debug, info, warn or error`);
}

function checkWhole(config: BerthConfig): void {
  const refuse = (why: string): never => {
    throw new BerthError("INVALID_ARGUMENT", why);
  };
  if (Buffer.byteLength(config.socket) > MAX_SOCKET_PATH) {
    refuse(
      `socket path "${config.socket}" is longer than ${MAX_SOCKET_PATH} bytes, the kernel's limit for one`,
    );
  }
  if (Buffer.byteLength(config.state) + STATE_SOCKET_SUFFIX > MAX_SOCKET_PATH) {
    refuse(
      `state directory "${config.state}" is longer than ${MAX_SOCKET_PATH - STATE_SOCKET_SUFFIX} bytes: ` +
        "the sockets of pods lie in it, and the kernel limits their paths; choose a shorter one",
    );
  }
  if (config.root === config.state) refuse(`root and state are both "${config.root}"; they must differ`);
  if (config.cgroupDriver === "systemd") {
    refuse('cgroup_driver = "systemd" is not supported yet; set "cgroupfs", in the kubelet too');
  }
}
