// Image references as people write them: without the parts that are the default.

/** "docker.io/library/alpine:3.20" as "alpine:3.20", "docker.io/me/app" as "me/app"; others as they are. */
export function familiar(reference: string): string {
  return reference.replace(/^docker\.io\/(library\/(?=[^/]+$))?/, "");
}

/** Repository and tag of "registry/repository:tag". */
export function splitTag(reference: string): { repository: string; tag: string } {
  const colon = reference.lastIndexOf(":");
  // A colon before the last slash belongs to the registry's port.
  if (colon < 0 || colon < reference.lastIndexOf("/")) return { repository: reference, tag: "" };
  return { repository: reference.slice(0, colon), tag: reference.slice(colon + 1) };
}

/** The first 12 digits of an id, with or without "sha256:" before it. */
export function shortId(id: string): string {
  return id.replace(/^sha256:/, "").slice(0, 12);
}

/** An image as a listing shows it: its familiar name, or a short id. */
export function shortImage(image: string): string {
  return image.startsWith("sha256:") ? shortId(image) : familiar(image.replace(/@sha256:[0-9a-f]+$/, ""));
}
