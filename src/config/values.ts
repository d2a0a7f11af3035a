// Kinds of values in berth.toml. A description says what a value must be when it does not match.

import { Type } from "typebox";
import { PROXY_FORMS, PROXY_PATTERN } from "../registry/proxies.ts";

export const absolutePath = Type.String({ pattern: "^/[^\\u0000]*$", description: "an absolute path" });
export const optionalPath = Type.String({
  pattern: "^(/[^\\u0000]*)?$",
  description: 'an absolute path, or "" for none',
});
export const httpUrl = Type.String({
  pattern: "^https?://[^/\\s]+(/\\S*)?$",
  description: "a URL that begins with http:// or https://",
});

export const proxyUrl = Type.String({
  pattern: `${PROXY_PATTERN}|^(direct)?$`,
  description: `${PROXY_FORMS}, or "direct" for none`,
});
