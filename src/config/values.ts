// Kinds of values in berth.toml. A description says what a value must be when it does not match.

import { Type } from "typebox";

export const absolutePath = Type.String({ pattern: "^/[^\\u0000]*$", description: "an absolute path" });
export const optionalPath = Type.String({
  pattern: "^(/[^\\u0000]*)?$",
  description: 'an absolute path, or "" for none',
});
export const httpUrl = Type.String({
  pattern: "^https?://[^/\\s]+(/\\S*)?$",
  description: "a URL that begins with http:// or https://",
});

/** What a proxy may be, besides "direct". */
export const PROXY_PATTERN = "^(https?|socks5h?)://[^/\\s]+/?$";
export const PROXY_FORMS = "http://, https://, socks5:// or socks5h://[USER:PASSWORD@]HOST:PORT";
export const proxyUrl = Type.String({
  pattern: `${PROXY_PATTERN}|^(direct)?$`,
  description: `${PROXY_FORMS}, or "direct" for none`,
});
