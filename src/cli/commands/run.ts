// berth run: a pod of one container, by the calls that a kubelet makes too.

import { randomUUID } from "node:crypto";
import { messageOf } from "../../lib/errors.ts";
import { DEFAULT_DETACH_KEYS, readDetachKeys } from "../arguments/detach-keys.ts";
import type { Parsed } from "../arguments/options.ts";
import type { RpcCall } from "../client/call.ts";
import type { Channel } from "../client/channel.ts";
import * as methods from "../client/methods.ts";
import { removePod } from "../client/objects.ts";
import { RpcError } from "../client/rpc-error.ts";
import { type Command, type Context, print } from "../command.ts";
import { complain } from "../complain.ts";
import { CliError, UsageError } from "../errors.ts";
import { shortId } from "../format/references.ts";
import { inventName } from "../names.ts";
import { pullImage } from "../pull.ts";
import { opening, runSession, type SessionAnswer, type SessionInput } from "../session.ts";
import { forwardSignals, Interruption } from "../signals.ts";
import { exitCodeOfFailure } from "../start-failure.ts";
import { terminalSize } from "../terminal.ts";
import { type RunConfig, runConfig } from "./run-config.ts";
import { RUN_OPTIONS } from "./run-options.ts";

export const command: Command = {
  usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
  options: RUN_OPTIONS,
  arity: [1],
  stopAtFirst: true,
  run,
};

interface Wishes {
  readonly detach: boolean;
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly remove: boolean;
  readonly proxySignals: boolean;
  readonly detachKeys: Buffer;
}

interface Made {
  readonly podId: string;
  readonly containerId: string;
}

async function run(context: Context, parsed: Parsed): Promise<number> {
  const wishes = wishesOf(context, parsed);
  const uid = randomUUID();
  const surroundings = { env: context.env, directory: process.cwd(), uid };
  const name = parsed.text("name") ?? inventName();
  let config = runConfig(parsed, name, surroundings);
  const channel = await connected(context);
  const volumes = config.container.mounts.flatMap(({ image }) => (image === undefined ? [] : [image.image]));
  for (const image of new Set([parsed.positional[0] as string, ...volumes])) {
    await ensureImage(context, channel, parsed, image);
  }
  const taken = await namesOf(channel);
  if (parsed.has("name")) refuseTaken(name, taken);
  for (let other = name; taken.has(other); ) {
    other = inventName();
    config = runConfig(parsed, other, surroundings);
  }
  try {
    return await makeAndRun(context, channel, config, parsed.text("runtime") ?? "", wishes);
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(messageOf(error), exitCodeOfFailure(error));
  }
}

function wishesOf(context: Context, parsed: Parsed): Wishes {
  const detach = parsed.flag("detach");
  const tty = parsed.flag("tty");
  const stdin = parsed.flag("interactive");
  if (tty && stdin && !detach && !context.stdin.isTTY) {
    throw new UsageError("the input device is not a terminal: leave out -t", 125);
  }
  return {
    detach,
    tty,
    stdin,
    remove: parsed.flag("rm"),
    proxySignals: !["false", "0"].includes(parsed.text("sig-proxy") ?? "true"),
    detachKeys: readDetachKeys(parsed.text("detach-keys") ?? DEFAULT_DETACH_KEYS),
  };
}

async function connected(context: Context): Promise<Channel> {
  try {
    return await context.channel();
  } catch (error) {
    throw new CliError(messageOf(error), 125);
  }
}

async function ensureImage(context: Context, channel: Channel, parsed: Parsed, image: string): Promise<void> {
  const policy = parsed.text("pull") ?? "missing";
  if (policy !== "missing" && policy !== "always" && policy !== "never") {
    throw new UsageError(`invalid value "${policy}" for --pull: there are missing, always, never`, 125);
  }
  try {
    if (policy !== "always") {
      const spec = { image, annotations: {}, userSpecifiedImage: "", runtimeHandler: "", imageRef: "" };
      const { image: found } = await channel.unary(methods.imageStatus, { image: spec, verbose: false });
      if (found !== undefined) return;
      if (policy === "never")
        throw new CliError(`no such image: "${image}", and --pull never was given`, 125);
    }
    const quiet = parsed.flag("quiet");
    if (!quiet && policy === "missing") context.stderr.write(`Unable to find image "${image}" locally\n`);
    await pullImage(context, image, { stream: context.stderr, quiet });
  } catch (error) {
    throw error instanceof CliError ? error : new CliError(messageOf(error), 125);
  }
}

async function namesOf(channel: Channel): Promise<Map<string, string>> {
  const { containers } = await channel.unary(methods.listContainers, {});
  return new Map(containers.map(({ name, id }) => [name, id]));
}

function refuseTaken(name: string, taken: Map<string, string>): void {
  const holder = taken.get(name);
  if (holder === undefined) return;
  throw new CliError(
    `container name "${name}" is already in use by container ${shortId(holder)}: remove it or choose another`,
    125,
  );
}

async function makeAndRun(
  context: Context,
  channel: Channel,
  config: RunConfig,
  runtimeHandler: string,
  wishes: Wishes,
): Promise<number> {
  const interruption = new Interruption();
  let podId: string | undefined;
  let made: Made;
  let session: Session | undefined;
  const checkpoint = () => {
    if (interruption.exitCode !== null) throw new CliError("interrupted", interruption.exitCode);
  };
  try {
    const pod = await channel.unary(methods.runPodSandbox, { config: config.pod, runtimeHandler });
    podId = pod.podSandboxId;
    checkpoint();
    const { containerId } = await channel.unary(methods.createContainer, {
      podSandboxId: podId,
      config: await mappedContainer(channel, config, podId),
      sandboxConfig: config.pod,
    });
    made = { podId, containerId };
    if (!wishes.detach) session = await attach(context, channel, containerId, wishes);
    checkpoint();
    await channel.unary(methods.startContainer, { containerId });
    checkpoint();
  } catch (error) {
    session?.call.cancel();
    if (podId !== undefined) await discard(context, channel, podId);
    throw error;
  } finally {
    interruption.end();
  }
  if (session === undefined) {
    await print(context, `${made.containerId}\n`);
    return 0;
  }
  return await foreground(context, channel, made, session, wishes);
}

/** With a user namespace whose ids the daemon has chosen, host paths are mapped to them. */
async function mappedContainer(
  channel: Channel,
  { pod, container }: RunConfig,
  podSandboxId: string,
): Promise<RunConfig["container"]> {
  const asked = pod.linux?.securityContext?.namespaceOptions?.usernsOptions;
  if (asked === undefined || container.mounts.length === 0) return container;
  const { status } = await channel.unary(methods.podSandboxStatus, { podSandboxId, verbose: false });
  const userns = status?.linux?.namespaces?.options?.usernsOptions;
  const maps = { uidMappings: userns?.uids ?? [], gidMappings: userns?.gids ?? [] };
  const mounts = container.mounts.map((mount) => (mount.image === undefined ? { ...mount, ...maps } : mount));
  return { ...container, mounts };
}

/** Removes what was made before something failed; a failure here is told beside the first one. */
async function discard(context: Context, channel: Channel, podId: string): Promise<void> {
  try {
    await removePod(channel, podId);
  } catch (error) {
    complain(context.stderr, `remove the pod of the failed container: ${messageOf(error)}`);
  }
}

interface Session {
  readonly call: RpcCall<SessionInput, SessionAnswer>;
  readonly answers: AsyncIterable<SessionAnswer>;
}

/** Attaches before the start, so that no output is lost. */
async function attach(
  context: Context,
  channel: Channel,
  containerId: string,
  wishes: Wishes,
): Promise<Session> {
  const call = channel.call(methods.attach);
  const size = wishes.tty ? terminalSize(context.stdout) : undefined;
  call.write(opening({ containerId, stdin: wishes.stdin, size }));
  const answers = call.responses();
  await answers.next();
  return { call: call as unknown as Session["call"], answers };
}

async function foreground(
  context: Context,
  channel: Channel,
  made: Made,
  { call, answers }: Session,
  wishes: Wishes,
): Promise<number> {
  const stop = wishes.proxySignals
    ? forwardSignals(channel, made.containerId, (text) => complain(context.stderr, text))
    : () => {};
  try {
    const outcome = await runSession(context, call, answers, wishes);
    if (outcome.how === "detached") {
      context.stderr.write("\n");
      return 0;
    }
    if (wishes.remove) await awaitRemoval(context, channel, made.containerId);
    return outcome.exitCode;
  } finally {
    stop();
  }
}

/** How long the daemon may take to remove a container that has ended, in milliseconds. */
const REMOVAL_TIMEOUT = 15_000;

/** The daemon removes a container of --rm; waits until it has, so that its name is free again. */
async function awaitRemoval(context: Context, channel: Channel, containerId: string): Promise<void> {
  const giveUp = Date.now() + REMOVAL_TIMEOUT;
  for (let pause = 4; Date.now() < giveUp; pause = Math.min(100, pause * 2)) {
    try {
      await channel.unary(methods.resolve, { container: containerId });
    } catch (error) {
      if (error instanceof RpcError && error.code === "NOT_FOUND") return;
      throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  const id = shortId(containerId);
  complain(context.stderr, `container ${id} is still being removed; "berth ps -a" shows whether it is gone`);
}
