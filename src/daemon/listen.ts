// The daemon's unix socket.

import { chmod, chown, mkdir, readFile, rm } from "node:fs/promises";
import { createConnection } from "node:net";
import { dirname } from "node:path";
import { type Server, ServerCredentials } from "@grpc/grpc-js";
import { BerthError, errnoOf, wrapError } from "../lib/errors.ts";

/** Who may use the daemon beside root. */
const GROUP = "berth";

/**
 * Binds the server to the socket. A file that a dead daemon left is replaced; a socket that answers is not
 * (FAILED_PRECONDITION). Mode 0660, group berth when there is one. The daemon's umask (022) keeps others
 * out between the two.
 */
export async function listen(server: Server, socket: string): Promise<void> {
  if (await answers(socket)) {
    throw new BerthError(
      "FAILED_PRECONDITION",
      `listen on "${socket}": another program listens there; stop it, or give another --socket`,
    );
  }
  await mkdir(dirname(socket), { recursive: true, mode: 0o755 });
  await rm(socket, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(wrapError(`listen on "${socket}"`, error)),
    );
  });
  const group = await groupId(GROUP);
  if (group !== null) await chown(socket, 0, group);
  await chmod(socket, 0o660);
}

/** True when somebody accepts connections on the socket. */
async function answers(socket: string): Promise<boolean> {
  return await new Promise((resolve, reject) => {
    const connection = createConnection({ path: socket });
    connection.once("connect", () => {
      connection.destroy();
      resolve(true);
    });
    connection.once("error", (error) => {
      const errno = errnoOf(error) ?? "";
      if (["ENOENT", "ECONNREFUSED", "ENOTSOCK"].includes(errno)) resolve(false);
      else reject(wrapError(`look at socket "${socket}"`, error));
    });
  });
}

/** Number of a group of the host, or null. */
async function groupId(name: string): Promise<number | null> {
  const text = await readFile("/etc/group", "utf8").catch(() => "");
  for (const line of text.split("\n")) {
    const [group, , id] = line.split(":");
    if (group === name && /^\d+$/.test(id ?? "")) return Number(id);
  }
  return null;
}
