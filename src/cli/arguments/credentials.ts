import type { Credentials } from "../../gen/berth/v1/images.ts";
import { UsageError } from "../errors.ts";

/** "USER:PASSWORD"; undefined for none. The text is not repeated in the error. @throws UsageError */
export function readCredentials(text: string | undefined): Credentials | undefined {
  if (text === undefined) return undefined;
  const colon = text.indexOf(":");
  if (colon < 1) throw new UsageError("invalid value for --creds: it must be USER:PASSWORD");
  return { username: text.slice(0, colon), password: text.slice(colon + 1) };
}
