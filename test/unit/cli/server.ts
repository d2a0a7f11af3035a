// A gRPC server on a temporary unix socket, for the command line's own client.

import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { releaseSent } from "../../../src/lib/service-handlers.ts";

export interface TestServer {
  readonly socket: string;
  close(): void;
}

/** Serves what `add` adds until it is closed. */
export async function startServer(add: (server: Server) => void): Promise<TestServer> {
  const directory = mkdtempSync("/tmp/berth-rpc-");
  const socket = join(directory, "s");
  const server = new Server({
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
    interceptors: [releaseSent],
  });
  add(server);
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    );
  });
  return {
    socket,
    close: () => {
      server.forceShutdown();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
