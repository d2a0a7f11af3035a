import { once } from "node:events";
import { type AddressInfo, createServer, isIP, type Server, type Socket } from "node:net";
import { messageOf } from "../../lib/errors.ts";
import type { Parsed } from "../arguments/options.ts";
import { readForward } from "../arguments/ports.ts";
import type { Channel } from "../client/channel.ts";
import * as methods from "../client/methods.ts";
import { find } from "../client/objects.ts";
import { type Command, type Context, print } from "../command.ts";
import { complain } from "../complain.ts";
import { CliError, UsageError } from "../errors.ts";

export const command: Command = {
  usage: "[OPTIONS] CONTAINER [LOCAL:]PORT [[LOCAL:]PORT...]",
  options: [{ name: "address", kind: "text", value: "ip", help: "Address to listen on (default 127.0.0.1)" }],
  arity: [2],
  run,
};

async function run(context: Context, parsed: Parsed): Promise<number> {
  const [name = "", ...ports] = parsed.positional;
  const address = parsed.text("address") ?? "127.0.0.1";
  if (isIP(address) === 0)
    throw new UsageError(`invalid value "${address}" for --address: it is no IP address`);
  const forwards = ports.map(readForward);
  const channel = await context.channel();
  const { podId, state } = await find(channel, name);
  if (state !== "running")
    throw new CliError(`cannot forward to container "${name}": it is ${state}, not running`);
  const ended = Promise.withResolvers<number>();
  for (const { local, remote } of forwards) {
    const report = (error: unknown) => complain(context.stderr, `port ${remote}: ${messageOf(error)}`);
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      forward(channel, { podId, port: remote }, socket).catch(report);
    });
    const { port } = await listen(server, address, local);
    const host = isIP(address) === 6 ? `[${address}]` : address;
    await print(context, `Forwarding from ${host}:${port} -> ${remote}\n`);
  }
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => ended.resolve(0));
  return await ended.promise;
}

async function listen(server: Server, address: string, port: number): Promise<AddressInfo> {
  server.listen(port, address);
  try {
    await once(server, "listening");
  } catch (error) {
    throw new CliError(`listen on ${address}:${port}: ${messageOf(error)}`);
  }
  return server.address() as AddressInfo;
}

/** Passes one connection on until both of its directions have ended. Rejects when nothing listens there. */
async function forward(
  channel: Channel,
  start: { readonly podId: string; readonly port: number },
  socket: Socket,
): Promise<void> {
  const call = channel.call(methods.portForward);
  const nothing = Buffer.alloc(0);
  call.write({ start, data: nothing });
  call.onDrain = () => socket.resume();
  socket.on("error", () => call.cancel());
  socket.on("data", (data: Buffer) => {
    if (!call.write({ start: undefined, data })) socket.pause();
  });
  socket.on("end", () => call.end());
  try {
    for await (const { data, closed } of call.responses()) {
      if (data.length > 0 && !socket.write(data)) await drained(socket);
      if (closed) socket.end();
    }
  } finally {
    socket.destroySoon();
  }
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once("drain", resolve);
    socket.once("close", resolve);
  });
}
