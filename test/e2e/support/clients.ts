// Clients of a daemon under test: CRI over gRPC, and the real crictl.

import { execFile } from "node:child_process";
import { join } from "node:path";
import { type Client, credentials, makeGenericClientConstructor, type ServiceError } from "@grpc/grpc-js";
import * as api from "../../../src/gen/runtime/v1/api.ts";
import type { Scratch } from "./scratch.ts";

const BERTH = join(import.meta.dirname, "../../../out/berth.cjs");
export const CRICTL = join(import.meta.dirname, "../../../out/tools/crictl");
const TIMEOUT_MS = 60_000;
/** As the clients of the CRI have it. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
/** What crictl prints at most: inspect and logs. */
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

type Rpc = (
  request: object,
  options: object,
  done: (error: ServiceError | null, answer: unknown) => void,
) => void;

export interface CriClient {
  /** Calls a method of either service, such as "runPodSandbox". Rejects with grpc-js' ServiceError. */
  ask<Answer>(method: string, request: object, options?: { timeoutMs: number }): Promise<Answer>;
  close(): void;
}

export function connectCri(socket: string): CriClient {
  const clients = [api.RuntimeServiceService, api.ImageServiceService].map((service): Client => {
    const Constructor = makeGenericClientConstructor(service, "");
    // With the shared pool a client of a new daemon would wait out the back-off of one of its predecessor.
    const options = {
      "grpc.use_local_subchannel_pool": 1,
      "grpc.max_receive_message_length": MAX_ANSWER_BYTES,
    };
    return new Constructor(`unix:${socket}`, credentials.createInsecure(), options);
  });
  return {
    close: () => {
      for (const client of clients) client.close();
    },
    ask: <Answer>(method: string, request: object, { timeoutMs } = { timeoutMs: TIMEOUT_MS }) =>
      new Promise<Answer>((resolve, reject) => {
        const client = clients.find((one) => method in one) as unknown as Record<string, Rpc>;
        const options = { deadline: Date.now() + timeoutMs };
        client[method]?.(whole(method, request), options, (error, answer) =>
          error === null ? resolve(answer as Answer) : reject(error),
        );
      }),
  };
}

/** Fills in what the request leaves out, as a decoder would. */
function whole(method: string, request: object): object {
  const name = `${method.charAt(0).toUpperCase()}${method.slice(1)}Request`;
  const type = (api as unknown as Record<string, { fromPartial(request: object): object } | undefined>)[name];
  if (type === undefined) throw new Error(`the CRI has no "${name}"`);
  return type.fromPartial(request);
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs crictl to its end, whatever its exit code. */
export function runCrictl(scratch: Scratch, args: readonly string[]): Promise<Ran> {
  const endpoint = `unix://${scratch.socket}`;
  const options = ["--config", join(scratch.folder, "crictl.yaml"), "--timeout", "60s"];
  return runToEnd(CRICTL, [
    ...options,
    "--runtime-endpoint",
    endpoint,
    "--image-endpoint",
    endpoint,
    ...args,
  ]);
}

/** Runs berth's own command line to its end, whatever its exit code. */
export function runBerth(scratch: Scratch, args: readonly string[]): Promise<Ran> {
  return runToEnd(process.execPath, [BERTH, "-H", scratch.socket, ...args]);
}

function runToEnd(command: string, args: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(command, args, { timeout: TIMEOUT_MS, maxBuffer: MAX_OUTPUT_BYTES }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : 255;
      resolve({ code, stdout, stderr });
    });
  });
}
