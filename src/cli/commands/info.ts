import type { Parsed } from "../arguments/options.ts";
import * as methods from "../client/methods.ts";
import { type Command, type Context, print } from "../command.ts";

export const command: Command = {
  usage: "[OPTIONS]",
  options: [{ name: "format", kind: "text", value: "string", help: '"json" for JSON' }],
  arity: [0, 0],
  run,
};

async function run(context: Context, parsed: Parsed): Promise<number> {
  const channel = await context.channel();
  const info = await channel.unary(methods.info, {});
  if (parsed.text("format") === "json") {
    await print(context, `${JSON.stringify(info)}\n`);
    return 0;
  }
  const lines: [string, string | number][] = [
    ["Version", info.version],
    ["Socket", context.socket],
    ["Root", info.root],
    ["State", info.state],
    ["Daemon pid", info.pid],
    ["Containers", `${info.containers} (${info.containersRunning} running)`],
    ["Pods", info.pods],
    ["Images", info.images],
    ["Layers", `${info.layerForm} (${info.layerFormReason})`],
    ["Network", info.networkReady ? "ready" : `not ready: ${info.networkMessage}`],
    ["Runtimes", info.handlers.map(describeHandler).join(", ")],
    ["Cgroup driver", info.cgroupDriver],
    ["Controllers", info.cgroupControllers.join(" ") || "none"],
    [
      "Security",
      ["seccomp", info.apparmor && "apparmor", info.selinux && "selinux"].filter(Boolean).join(" "),
    ],
    ["Kernel", info.kernelRelease],
    ["Node", info.nodeVersion],
  ];
  await print(context, lines.map(([key, value]) => `${`${key}:`.padEnd(16)}${value}\n`).join(""));
  return 0;
}

/** The first one is the default. */
function describeHandler({ name, path }: { name: string; path: string }, index: number): string {
  const more = [...(index === 0 ? ["default"] : []), ...(path === "" ? [] : [path])];
  return more.length === 0 ? name : `${name} (${more.join(", ")})`;
}
