// Image references: the grammar of the distribution project, with docker's normalisation.
//
//   [host[:port]/]path[/path…][:tag][@digest]

import { splitHost } from "../credentials/image-host.ts";
import { BerthError } from "../lib/errors.ts";
import type { Digest } from "../types/ids.ts";

export interface Reference {
  /** Host as references write it, with the port when there is one: "docker.io", "localhost:5000". */
  readonly host: string;
  /** "library/busybox". */
  readonly repository: string;
  /** Absent when the reference has a digest: the digest decides, a tag beside it is only a remark. */
  readonly tag?: string;
  readonly digest?: Digest;
}

const maxNameLength = 255;
const maxReferenceLength = maxNameLength + 1 + 128 + 1 + 7 + 128;

const hostComponent = "(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])";
const hostPattern = new RegExp(
  `^(?:${hostComponent}(?:\\.${hostComponent})*|\\[[A-Fa-f0-9:]+\\])(?::[0-9]{1,5})?$`,
);
const pathComponentPattern = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const digestPattern = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** Whether `text` is a digest that berth can check: sha256 or sha512, lower-case hexadecimal. */
export function isDigest(text: string): text is Digest {
  return digestPattern.test(text);
}

/**
 * Parses and normalises a reference as users and the kubelet write it: "busybox" is
 * "docker.io/library/busybox:latest". Throws INVALID_ARGUMENT.
 */
export function parseReference(text: string): Reference {
  if (text === "") throw malformed(text, "it is empty");
  if (text.length > maxReferenceLength) {
    throw malformed(`${text.slice(0, 64)}…`, `it is longer than ${maxReferenceLength} characters`);
  }
  const { name, tag, digest } = splitReference(text);
  if (/^(?:sha256:)?[0-9a-f]{64}$/.test(text) || /^[0-9a-f]{64}$/.test(name)) {
    throw malformed(text, "64 hexadecimal digits are an image id, not a name");
  }
  const { host, repository } = splitName(name);
  if (!hostPattern.test(host)) throw malformed(text, `"${host}" is not a registry host`);
  checkRepository(text, repository);
  if (host.length + 1 + repository.length > maxNameLength) {
    throw malformed(text, `its name is longer than ${maxNameLength} characters`);
  }
  if (tag !== undefined && !tagPattern.test(tag)) throw malformed(text, `"${tag}" is not a tag`);
  if (digest === undefined) return { host, repository, tag: tag ?? "latest" };
  if (!isDigest(digest)) throw malformed(text, `"${digest}" is not a sha256 or sha512 digest`);
  return { host, repository, digest };
}

/** "docker.io/library/busybox". */
export function nameOf(reference: Reference): string {
  return `${reference.host}/${reference.repository}`;
}

/** The whole normalised reference: the name with its digest or else its tag. */
export function formatReference(reference: Reference): string {
  if (reference.digest !== undefined) return `${nameOf(reference)}@${reference.digest}`;
  return `${nameOf(reference)}:${reference.tag ?? "latest"}`;
}

/** Cuts at the first "@", then at a ":" after the last "/": a port comes before a "/". */
function splitReference(text: string): { name: string; tag?: string; digest?: string } {
  const at = text.indexOf("@");
  const digest = at < 0 ? undefined : text.slice(at + 1);
  const front = at < 0 ? text : text.slice(0, at);
  const colon = front.indexOf(":", front.lastIndexOf("/") + 1);
  const name = colon < 0 ? front : front.slice(0, colon);
  return {
    name,
    ...(colon < 0 ? {} : { tag: front.slice(colon + 1) }),
    ...(digest === undefined ? {} : { digest }),
  };
}

function splitName(name: string): { host: string; repository: string } {
  const { host, rest } = splitHost(name);
  const official = host === "docker.io" && !rest.includes("/");
  return { host, repository: official ? `library/${rest}` : rest };
}

function checkRepository(text: string, repository: string): void {
  for (const component of repository.split("/")) {
    if (pathComponentPattern.test(component)) continue;
    if (component === "") throw malformed(text, "a part of its name is empty");
    if (/[A-Z]/.test(component)) throw malformed(text, `"${component}" must be lower case`);
    throw malformed(text, `"${component}" is not a part of a repository name`);
  }
}

function malformed(text: string, why: string): BerthError {
  return new BerthError("INVALID_ARGUMENT", printable(`parse image reference "${text}": ${why}`));
}

function printable(text: string): string {
  return text.replace(/[^\x20-\x7e\u2026]/g, "?");
}
