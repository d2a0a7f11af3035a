// Which images run here: this machine's platform, and the choice among those that an index offers.

import { readFile } from "node:fs/promises";
import { BerthError, errnoOf } from "../lib/errors.ts";
import { printable } from "../registry/failure.ts";
import type { Descriptor, ImageConfig, ImageIndex, ImagePlatform } from "../types/oci-image.ts";

/** An architecture and its variant in the words of the specification; variant "" when it has none. */
export interface Machine {
  readonly architecture: string;
  readonly variant: string;
}

export interface Platform {
  readonly os: string;
  /** What runs here, the best first. Never empty. */
  readonly machines: readonly Machine[];
}

let known: Promise<Platform> | undefined;

/** The platform that this daemon runs on. Read once. */
export function hostPlatform(): Promise<Platform> {
  known ??= readCpuInfo().then((text) => platformOf(process.arch, text));
  return known;
}

async function readCpuInfo(): Promise<string> {
  try {
    return await readFile("/proc/cpuinfo", "latin1");
  } catch (error) {
    // Without it the machine counts as the least that its architecture can be.
    if (errnoOf(error) !== undefined) return "";
    throw error;
  }
}

/** CPU flags of the levels above the first (x86-64 psABI, micro-architecture levels), in Linux names. */
const amd64Levels = [
  ["cx16", "lahf_lm", "popcnt", "pni", "ssse3", "sse4_1", "sse4_2"],
  ["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"],
  ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"],
];

/** The platform of a machine by Node's name of its architecture and its /proc/cpuinfo. */
export function platformOf(arch: string, cpuInfo: string): Platform {
  const machines = (architecture: string, ...variants: string[]) =>
    variants.map((variant) => ({ architecture, variant }));
  if (arch === "x64") {
    const flags = new Set(/^flags\s*:(.*)$/m.exec(cpuInfo)?.[1]?.trim().split(" "));
    let level = 1;
    while (amd64Levels[level - 1]?.every((flag) => flags.has(flag)) === true) level++;
    const variants = Array.from({ length: level }, (_, below) => `v${level - below}`);
    return { os: "linux", machines: [...machines("amd64", ...variants), ...machines("386", "")] };
  }
  if (arch === "arm64") {
    return {
      os: "linux",
      machines: [...machines("arm64", "v8"), ...machines("arm", "v8", "v7", "v6", "v5")],
    };
  }
  if (arch === "arm") {
    const told = Number(/^CPU architecture\s*:\s*(\d)/m.exec(cpuInfo)?.[1] ?? 7);
    const best = Math.min(8, Math.max(5, told));
    const variants = Array.from({ length: best - 4 }, (_, below) => `v${best - below}`);
    return { os: "linux", machines: machines("arm", ...variants) };
  }
  return { os: "linux", machines: machines(arch === "ia32" ? "386" : arch, "") };
}

/** What a variant means when it is left out. */
const implied: Readonly<Record<string, string>> = { amd64: "v1", arm64: "v8", arm: "v7" };
/** Names that the kernel and distributions use for the specification's. */
const otherNames: Readonly<Record<string, string>> = {
  x86_64: "amd64",
  "x86-64": "amd64",
  aarch64: "arm64",
  armhf: "arm",
  i386: "386",
};

function machineOf(platform: Pick<ImagePlatform, "architecture" | "variant">): Machine {
  const named = platform.architecture.toLowerCase();
  const architecture = (Object.hasOwn(otherNames, named) ? otherNames[named] : undefined) ?? named;
  const variant = (platform.variant ?? "").toLowerCase();
  return { architecture, variant: variant === "" ? (implied[architecture] ?? "") : variant };
}

/** Whether programs of an architecture have 32 bits. */
export function is32Bit(architecture: string): boolean {
  return ["386", "arm"].includes(machineOf({ architecture }).architecture);
}

/** Place of a platform among those that run here, 0 the best; -1 when it does not run here. */
function rankOf(platform: ImagePlatform, here: Platform): number {
  if (platform.os.toLowerCase() !== here.os) return -1;
  const { architecture, variant } = machineOf(platform);
  // os.version and os.features are about Windows: an entry for Linux that has them is one like the others.
  return here.machines.findIndex((one) => one.architecture === architecture && one.variant === variant);
}

/** Entries of an index that run here, the best first; those that fit equally in the order of the index. */
export function fittingEntries(index: ImageIndex, here: Platform): Descriptor[] {
  return ranked(
    index.manifests.filter((entry) => !isAttachment(entry)),
    here,
  );
}

function ranked(entries: readonly Descriptor[], here: Platform): Descriptor[] {
  return entries
    .map((entry) => ({ entry, rank: entry.platform == null ? -1 : rankOf(entry.platform, here) }))
    .filter(({ rank }) => rank >= 0)
    .sort((a, b) => a.rank - b.rank)
    .map(({ entry }) => entry);
}

/** The entry of the index for the platform; NOT_FOUND lists the platforms that it has. */
export function choosePlatform(index: ImageIndex, here: Platform, what: string): Descriptor {
  const [best] = fittingEntries(index, here);
  if (best !== undefined) return best;
  // Entries without a platform: one alone is the image, its config tells the platform.
  const [only, ...others] = index.manifests.filter((entry) => entry.platform == null && !isAttachment(entry));
  if (only !== undefined && others.length === 0) return only;
  const artifact = chooseArtifact(index, here, what);
  if (artifact !== undefined) return artifact;
  const names = index.manifests.map((entry) => platformName(entry.platform)).filter((name) => name !== "");
  const list = [...new Set(names)].slice(0, 32).join(", ") || "nothing";
  const wanted = `${here.os}/${here.machines[0]?.architecture}`;
  throw new BerthError("NOT_FOUND", `choose from ${what}: it has no image for ${wanted}, only for: ${list}`);
}

/**
 * The artifact of an index that has nothing but artifacts: for this platform, else the one without a
 * platform. Undefined when there is none; of several without one nothing tells which is wanted.
 */
function chooseArtifact(index: ImageIndex, here: Platform, what: string): Descriptor | undefined {
  if (index.manifests.some((entry) => !isAttachment(entry) && platformName(entry.platform) !== "")) return;
  const artifacts = index.manifests.filter(
    (entry) => !isOfDocker(entry) && (entry.platform == null || platformName(entry.platform) !== ""),
  );
  const [best] = ranked(artifacts, here);
  if (best !== undefined) return best;
  const [only, ...others] = artifacts.filter((entry) => entry.platform == null);
  if (only === undefined || others.length === 0) return only;
  const list = [only, ...others].slice(0, 8).map(({ digest, artifactType }) => {
    return artifactType == null ? digest : `${digest} (${printable(artifactType)})`;
  });
  throw new BerthError(
    "NOT_FOUND",
    `choose from ${what}: it has ${others.length + 1} entries without a platform; ` +
      `ask for one by its digest: ${list.join(", ")}`,
  );
}

/** Refuses an image that says it is for another platform. */
export function checkPlatform(config: ImageConfig, here: Platform, what: string): void {
  const os = config.os ?? "";
  const architecture = config.architecture ?? "";
  const best = here.machines[0] as Machine;
  const its = { os: os || here.os, architecture: architecture || best.architecture };
  // The variant in a config is a remark: many builders write it wrongly, and the index has chosen already.
  const runs = here.machines.some((one) => one.architecture === machineOf(its).architecture);
  if (its.os.toLowerCase() === here.os && runs) return;
  const told = printable(`${os}/${architecture}`);
  throw new BerthError(
    "NOT_FOUND",
    `use ${what}: it is for ${told}, this machine is ${here.os}/${best.architecture}`,
  );
}

/** What belongs to an image of the index and is none: attestations, signatures and the like. */
function isAttachment(entry: Descriptor): boolean {
  return isOfDocker(entry) || entry.artifactType != null;
}

/** Docker's attestations, which stand beside the image that they are about. */
function isOfDocker({ annotations }: Descriptor): boolean {
  return Object.hasOwn(annotations ?? {}, "vnd.docker.reference.type");
}

function platformName(platform: ImagePlatform | null | undefined): string {
  if (platform == null || platform.os === "unknown") return "";
  const variant = platform.variant == null || platform.variant === "" ? "" : `/${platform.variant}`;
  return printable(`${platform.os}/${platform.architecture}${variant}`);
}
