import type { RegistryEndpoint } from "../../gen/berth/v1/registries.ts";
import type { Parsed } from "../arguments/options.ts";
import * as methods from "../client/methods.ts";
import { type Command, type Context, print } from "../command.ts";
import { harmless } from "../format/table.ts";
import { credentialsOfImage } from "../registry-credentials.ts";

export const command: Command = { usage: "NAME[:TAG|@DIGEST]", options: [], arity: [1, 1], run };

/** Exit code 1 when no host has the image. */
async function run(context: Context, parsed: Parsed): Promise<number> {
  const [image = ""] = parsed.positional;
  const auth = await credentialsOfImage(context, image);
  const channel = await context.channel();
  const report = await channel.unary(methods.testRegistry, { image, auth });
  await print(context, `${harmless(report.image)} is looked for, in this order, at\n`);
  for (const [place, endpoint] of report.endpoints.entries()) {
    await print(context, `\n${place + 1}. ${describe(endpoint).map(harmless).join("\n   ")}\n`);
  }
  return report.endpoints.some(({ error }) => error === "") ? 0 : 1;
}

function describe(endpoint: RegistryEndpoint): string[] {
  const { url, mirror, repository, rule, capabilities, proxy, authorities, headers, credentials } = endpoint;
  const https = url.startsWith("https:");
  const tls = [
    endpoint.skipVerify ? "the certificate is NOT verified" : "the certificate is verified",
    ...(authorities === 0 ? [] : [`${authorities} more authorities are trusted`]),
    ...(endpoint.clientCertificate ? ["a client certificate is shown"] : []),
  ];
  const origin: Record<string, string> = {
    call: "yours",
    docker_config: "those of the daemon's docker_config",
  };
  return [
    `${url} (${mirror ? "mirror" : "the registry itself"})`,
    `rule:         ${rule}`,
    `repository:   ${repository}`,
    `may:          ${capabilities.join(", ")}`,
    `TLS:          ${https ? tls.join(", ") : "none, plain HTTP"}`,
    `proxy:        ${proxy === "" ? "none" : proxy}`,
    `credentials:  ${origin[credentials] ?? "none"}`,
    ...(headers.length === 0 ? [] : [`headers:      ${headers.join(", ")}`]),
    endpoint.error === "" ? `has it:       ${endpoint.digest || "yes"}` : `fails:        ${endpoint.error}`,
  ];
}
