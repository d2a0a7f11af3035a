import { randomBytes } from "node:crypto";

/** A new pod or container id: 64 lower-case hexadecimal digits. */
export function newId(): string {
  return randomBytes(32).toString("hex");
}
