// The commands of the command line. Each is loaded when it is asked for.

import type { Command } from "./command.ts";
import type { Entry } from "./help.ts";

export interface Registered extends Entry {
  load(): Promise<{ command: Command }>;
}

export const COMMANDS: readonly Registered[] = [
  {
    name: "run",
    summary: "Create and run a container from an image",
    load: () => import("./commands/run.ts"),
  },
  { name: "exec", summary: "Run a command in a running container", load: () => import("./commands/exec.ts") },
  { name: "attach", summary: "Attach to a running container", load: () => import("./commands/attach.ts") },
  {
    name: "port-forward",
    summary: "Forward local ports into a container's pod",
    load: () => import("./commands/port-forward.ts"),
  },
  { name: "ps", aliases: ["list", "ls"], summary: "List containers", load: () => import("./commands/ps.ts") },
  {
    name: "stats",
    summary: "Show what running containers use",
    load: () => import("./commands/stats.ts"),
  },
  { name: "top", summary: "Show the processes of a container", load: () => import("./commands/top.ts") },
  {
    name: "events",
    summary: "Print what happens, as it happens",
    load: () => import("./commands/events.ts"),
  },
  { name: "logs", summary: "Print what a container wrote", load: () => import("./commands/logs.ts") },
  { name: "stop", summary: "Stop containers", load: () => import("./commands/stop.ts") },
  { name: "kill", summary: "Send a signal to containers", load: () => import("./commands/kill.ts") },
  {
    name: "wait",
    summary: "Wait until containers end, print their exit codes",
    load: () => import("./commands/wait.ts"),
  },
  { name: "rm", aliases: ["remove"], summary: "Remove containers", load: () => import("./commands/rm.ts") },
  { name: "pull", summary: "Download an image from a registry", load: () => import("./commands/pull.ts") },
  {
    name: "pulls",
    summary: "Show what is being pulled, and where the time of a pull went",
    load: () => import("./commands/pulls.ts"),
  },
  { name: "login", summary: "Log in to a registry", load: () => import("./commands/login.ts") },
  { name: "logout", summary: "Log out from a registry", load: () => import("./commands/logout.ts") },
  {
    name: "config test",
    summary: "Show by which rules an image is looked for where, and what each host says",
    load: () => import("./commands/config-test.ts"),
  },
  { name: "load", summary: "Load images from a tar", load: () => import("./commands/load.ts") },
  { name: "images", summary: "List images", load: () => import("./commands/images.ts") },
  { name: "push", summary: "Upload an image to a registry", load: () => import("./commands/push.ts") },
  { name: "save", summary: "Save images to a tar", load: () => import("./commands/save.ts") },
  {
    name: "export",
    summary: "Write a container's file system as a tar",
    load: () => import("./commands/export.ts"),
  },
  {
    name: "import",
    summary: "Make an image of a root file system in a tar",
    load: () => import("./commands/import.ts"),
  },
  { name: "tag", summary: "Give an image a further name", load: () => import("./commands/tag.ts") },
  { name: "rmi", summary: "Remove images", load: () => import("./commands/rmi.ts") },
  {
    name: "inspect",
    summary: "Show everything known of containers, pods and images",
    load: () => import("./commands/inspect.ts"),
  },
  {
    name: "image prune",
    summary: "Remove images that nothing needs",
    load: () => import("./commands/image-prune.ts"),
  },
  {
    name: "image verify",
    summary: "Compare images on disk with what was pulled",
    load: () => import("./commands/image-verify.ts"),
  },
  {
    name: "image repair",
    summary: "Fetch damaged layers again",
    load: () => import("./commands/image-repair.ts"),
  },
  {
    name: "system df",
    summary: "Show what is on the disk",
    load: () => import("./commands/system-df.ts"),
  },
  { name: "info", summary: "Show what the daemon is and has", load: () => import("./commands/info.ts") },
  {
    name: "version",
    summary: "Show the versions of client and daemon",
    load: () => import("./commands/version.ts"),
  },
];

/** docker's longer names: "berth container ls" is "berth ps". */
const GROUPS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  image: {
    ls: "images",
    list: "images",
    rm: "rmi",
    remove: "rmi",
    pull: "pull",
    pulls: "pulls",
    load: "load",
    inspect: "inspect",
    tag: "tag",
    push: "push",
    save: "save",
    import: "import",
    prune: "image prune",
    verify: "image verify",
    repair: "image repair",
  },
  config: { test: "config test" },
  system: { info: "info", df: "system df" },
};

const CONTAINER_COMMANDS = [
  "run",
  "exec",
  "attach",
  "port-forward",
  "ps",
  "ls",
  "list",
  "logs",
  "stop",
  "kill",
  "wait",
  "rm",
  "export",
  "inspect",
];

/** The command that the first arguments name, and how many of them it took; undefined when there is none. */
export function findCommand(args: readonly string[]): { entry: Registered; taken: number } | undefined {
  const [first = "", second = ""] = args;
  if (first === "container" && CONTAINER_COMMANDS.includes(second)) return named(second, 2);
  const member = Object.hasOwn(GROUPS, first) ? GROUPS[first]?.[second] : undefined;
  if (member !== undefined) return named(member, 2);
  return named(first, 1);
}

function named(name: string, taken: number): { entry: Registered; taken: number } | undefined {
  const entry = COMMANDS.find((candidate) => candidate.name === name || candidate.aliases?.includes(name));
  return entry === undefined ? undefined : { entry, taken };
}
