// The CDI specifications of the host, read when a container asks for a device: vendors write them anew when
// devices come and go.

import { readFile, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import type { Logger } from "../lib/call.ts";
import { BerthError, messageOf } from "../lib/errors.ts";
import { namesIn } from "../lib/optional-file.ts";
import { cdiNames, joinEdits, parseCdiSpec } from "../spec/cdi.ts";
import type { DeviceNode } from "../spec/inputs.ts";
import type { CdiDeviceNode, CdiEdits, CdiSpec } from "../types/cdi.ts";
import type { ContainerConfig } from "../types/container.ts";
import { hostDeviceNode } from "./device-nodes.ts";

const EXTENSIONS = new Set([".json", ".yaml", ".yml"]);
/** Lists of devices of large machines are some hundred kilobytes. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;
const NONE: Required<CdiEdits> = joinEdits([]);

/** One device as a file of one directory describes it. */
interface Found {
  readonly path: string;
  readonly directory: number;
  readonly spec: CdiSpec;
  readonly edits: CdiEdits;
}

/** A file or directory that says nothing of its devices, and why. */
interface Problem {
  readonly path: string;
  readonly reason: string;
}

/**
 * What the CDI devices of a container change in it. Files of later directories win; two of one directory that
 * describe the same device are a conflict. A file that cannot be read is warned of; its devices count as not
 * described. NOT_FOUND, with the files that could not be read, for a device that nobody describes.
 */
export async function cdiEdits(
  directories: readonly string[],
  config: Pick<ContainerConfig, "cdiDevices" | "annotations">,
  log: Logger,
): Promise<Required<CdiEdits>> {
  const names = cdiNames(config);
  if (names.length === 0) return NONE;
  const { devices, problems } = await readSpecifications(directories);
  for (const { path, reason } of problems) {
    log.warn({ path, error: reason }, "CDI specification cannot be used; its devices are missing");
  }
  const edits: CdiEdits[] = [];
  const specs = new Set<CdiSpec>();
  for (const name of names) {
    const { spec, edits: own } = choose(name, devices.get(name) ?? [], directories, problems);
    // What a file says of all its devices is done once.
    if (!specs.has(spec) && spec.containerEdits !== undefined) edits.push(spec.containerEdits);
    specs.add(spec);
    edits.push(own);
  }
  return joinEdits(edits);
}

function choose(
  name: string,
  found: readonly Found[],
  directories: readonly string[],
  problems: readonly Problem[],
): Found {
  const last = Math.max(...found.map(({ directory }) => directory));
  const [first, second] = found.filter(({ directory }) => directory === last);
  if (first === undefined) {
    const places = directories.map((directory) => `"${directory}"`).join(", ");
    const list = problems.map(({ path, reason }) => `"${path}": ${reason}`).join("; ");
    const unread = problems.length === 0 ? "" : `; cannot be used, mend or remove: ${list}`;
    throw new BerthError("NOT_FOUND", `CDI device "${name}": no file in ${places} describes it${unread}`);
  }
  if (second === undefined) return first;
  throw new BerthError(
    "FAILED_PRECONDITION",
    `CDI device "${name}": "${first.path}" and "${second.path}" both describe it; remove one`,
  );
}

async function readSpecifications(
  directories: readonly string[],
): Promise<{ devices: Map<string, Found[]>; problems: Problem[] }> {
  const devices = new Map<string, Found[]>();
  const problems: Problem[] = [];
  for (const [directory, folder] of directories.entries()) {
    const paths = await specificationFiles(folder).catch((error) => {
      problems.push({ path: folder, reason: messageOf(error) });
      return [];
    });
    for (const path of paths) {
      try {
        const spec = await readSpecification(path);
        for (const { name, containerEdits: edits } of spec.devices) {
          const key = `${spec.kind}=${name}`;
          devices.set(key, [...(devices.get(key) ?? []), { path, directory, spec, edits }]);
        }
      } catch (error) {
        problems.push({ path, reason: messageOf(error) });
      }
    }
  }
  return { devices, problems };
}

async function specificationFiles(folder: string): Promise<string[]> {
  return (await namesIn(folder))
    .filter((name) => EXTENSIONS.has(extname(name)))
    .sort()
    .map((name) => join(folder, name));
}

async function readSpecification(path: string): Promise<CdiSpec> {
  // Looked at before it is opened: opening a FIFO would wait for a writer.
  const facts = await stat(path);
  if (!facts.isFile()) throw new BerthError("INVALID_ARGUMENT", "not a regular file");
  if (facts.size > MAX_FILE_BYTES) {
    throw new BerthError("INVALID_ARGUMENT", `larger than ${MAX_FILE_BYTES} bytes`);
  }
  const text = await readFile(path, "utf8");
  if (extname(path) === ".json") return parseCdiSpec(JSON.parse(text));
  const { parse } = await import("yaml");
  return parseCdiSpec(parse(text, { maxAliasCount: 0 }));
}

/** The device nodes of the edits. What a file leaves out is taken from the host's node. */
export function cdiDeviceNodes(edits: Required<CdiEdits>): Promise<DeviceNode[]> {
  return Promise.all(edits.deviceNodes.map(nodeOf));
}

async function nodeOf(node: CdiDeviceNode): Promise<DeviceNode> {
  const { path, type, major, minor } = node;
  const access = node.permissions || "rwm";
  const given = type !== undefined && type !== "" && major !== undefined && minor !== undefined;
  if (type === "p") throw new BerthError("UNIMPLEMENTED", `CDI device node "${path}": a FIFO is no device`);
  const base: DeviceNode = given
    ? { path, type: type === "b" ? "b" : "c", major, minor, mode: 0o660, uid: 0, gid: 0, access }
    : await hostDeviceNode(node.hostPath ?? path, path, access);
  return {
    ...base,
    mode: node.fileMode === undefined ? base.mode : node.fileMode & 0o7777,
    uid: node.uid ?? base.uid,
    gid: node.gid ?? base.gid,
  };
}
