// The CRI on a temporary unix socket, over the real verbs on fakes, with grpc-js clients.

import { type Client, credentials, makeGenericClientConstructor, type ServiceError } from "@grpc/grpc-js";
import { onTestFinished } from "vitest";
import { ContainerEvents } from "../../../src/cri/container-events.ts";
import { imageServiceDefinition, runtimeServiceDefinition } from "../../../src/cri/encoded-lists.ts";
import { makeImageService } from "../../../src/cri/image-service.ts";
import { makeRuntimeService } from "../../../src/cri/runtime-service.ts";
import { criServerOptions } from "../../../src/cri/serve.ts";
import { bindVerbs, type CriVerbs } from "../../../src/cri/verbs.ts";
import { ImageServiceService, RuntimeServiceService } from "../../../src/gen/runtime/v1/api.ts";
import { makeImageDeps } from "../../../src/images/deps.ts";
import type { RegistryClient } from "../../../src/registry/client.ts";
import type { StreamTarget } from "../../../src/streaming/target.ts";
import { startServer } from "../cli/server.ts";
import { makeWorld, type World } from "../containers/world.ts";
import { layerForms } from "../images/support/bench.ts";

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

type Rpc = (...rest: unknown[]) => NodeJS.EventEmitter & { cancel(): void };

export interface Edge {
  readonly world: World;
  readonly log: LogLine[];
  /** Targets of the URLs that were given out. */
  readonly granted: StreamTarget[];
  /** Calls a method of either service, such as "runPodSandbox". Rejects with grpc-js' ServiceError. */
  ask<Response>(method: string, request: object, options?: { deadline: number }): Promise<Response>;
  /** All answers of a streaming method. */
  collect<Response>(method: string, request: object): Promise<Response[]>;
  /** Reads a streaming method that does not end. */
  follow(method: string): { readonly items: unknown[]; cancel(): void };
  /** When the server has taken in what was sent before. */
  settled(): Promise<unknown>;
  /** Starts a call and gives the means to leave it. */
  begin(method: string, request: object): { cancel(): void; ended: Promise<unknown> };
}

/** Serves both services; `changes` replace verbs. */
export async function makeEdge(changes: Partial<CriVerbs> = {}): Promise<Edge> {
  const world = makeWorld();
  const { store, kernel, paths, config, layerMounts, events } = world.deps;
  // Nothing here reaches a registry.
  const registry = {} as RegistryClient;
  const parts = { store, kernel, paths, config, layerMounts, layerForms };
  const images = makeImageDeps({ ...parts, registry, events });
  const verbs = { ...bindVerbs({ ...images, ...world.deps }), ...changes };
  const log: LogLine[] = [];
  const line = (level: string) => (fields: object, message: string) =>
    log.push({ level, message, ...fields });
  const logger = { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
  const granted: StreamTarget[] = [];
  const streaming = {
    grant: (target: StreamTarget) => `http://127.0.0.1:1/${target.kind}/${granted.push(target)}`,
  };
  const containerEvents = new ContainerEvents(verbs);
  world.onEvent = containerEvents.onEvent;
  const surroundings = { log: logger, config, streaming, containerEvents };
  const server = await startServer((grpc) => {
    grpc.addService(runtimeServiceDefinition, makeRuntimeService(verbs, surroundings));
    grpc.addService(imageServiceDefinition, makeImageService(verbs, surroundings));
  });
  const connect = (service: typeof RuntimeServiceService | typeof ImageServiceService) => {
    const Constructor = makeGenericClientConstructor(service, "");
    return new Constructor(`unix:${server.socket}`, credentials.createInsecure(), criServerOptions);
  };
  const clients: Client[] = [connect(RuntimeServiceService), connect(ImageServiceService)];
  onTestFinished(() => {
    for (const client of clients) client.close();
    server.close();
  });
  return { world, log, granted, ...callers(clients) };
}

function callers(clients: readonly Client[]): Pick<Edge, "ask" | "collect" | "follow" | "settled" | "begin"> {
  const find = (method: string): Rpc => {
    const client = clients.find((candidate) => method in candidate) as unknown as Record<string, Rpc>;
    return (client[method] as Rpc).bind(client);
  };
  const begin = (method: string, request: object, options: object = {}) => {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const answered = (error: ServiceError | null, response: unknown) =>
      error === null ? resolve(response) : reject(error);
    const rpc = find(method)(complete(method, request), options, answered);
    return { cancel: () => rpc.cancel(), ended: promise };
  };
  return {
    begin,
    ask: async <Response>(method: string, request: object, options?: object) =>
      (await begin(method, request, options).ended) as Response,
    follow: (method) => {
      const items: unknown[] = [];
      const stream = find(method)(complete(method, {}));
      stream.on("data", (item: unknown) => items.push(item));
      stream.on("error", () => {});
      return { items, cancel: () => stream.cancel() };
    },
    settled: () => begin("version", {}).ended,
    collect: <Response>(method: string, request: object) =>
      new Promise<Response[]>((resolve, reject) => {
        const items: Response[] = [];
        const stream = find(method)(complete(method, request));
        stream.on("data", (item: Response) => items.push(item));
        stream.on("error", reject);
        stream.on("end", () => resolve(items));
      }),
  };
}

/** Fills in what a request leaves out, as a decoder would. */
function complete(method: string, request: object): object {
  const services = { ...RuntimeServiceService, ...ImageServiceService };
  const empty = services[method as keyof typeof services].requestDeserialize(Buffer.alloc(0));
  return { ...empty, ...request };
}
