// The runtime handlers that this daemon has.

import { access, constants } from "node:fs/promises";
import { BerthError, errnoOf, messageOf } from "../lib/errors.ts";
import type { HandlerConfig, HandlerFeatures } from "../types/handler.ts";
import { probeRuntime, type RuntimeFacts } from "./probe-runtime.ts";

export interface HandlerStatus {
  /** "" is the default one, by the CRI. */
  readonly name: string;
  readonly type: HandlerConfig["type"];
  /** Null for the native ones. */
  readonly path: string | null;
  readonly features: HandlerFeatures;
}

/** Of berth's own handlers. */
export const NATIVE_FEATURES: HandlerFeatures = { recursiveReadOnlyMounts: true, userNamespaces: false };
const NO_FEATURES: HandlerFeatures = { recursiveReadOnlyMounts: false, userNamespaces: false };

export class Handlers {
  readonly #known: ReadonlyMap<string, HandlerConfig>;
  readonly #default: string;
  readonly #facts = new Map<string, Promise<RuntimeFacts>>();

  constructor(handlers: readonly HandlerConfig[], defaultName: string) {
    this.#known = new Map(handlers.map((handler) => [handler.name, handler]));
    this.#default = defaultName;
  }

  /** NOT_FOUND for a handler that is not there, with the list of those that are. */
  find(name: string, doing: string): HandlerConfig {
    const handler = this.#known.get(name === "" ? this.#default : name);
    if (handler !== undefined) return handler;
    const known = [...this.#known.keys()].map((one) => `"${one}"`).join(", ");
    throw new BerthError(
      "NOT_FOUND",
      `${doing}: runtime handler "${name}" is not configured; there is ${known}, and "" for the default`,
    );
  }

  /** The same; FAILED_PRECONDITION when its program cannot be executed. */
  async require(name: string, doing: string): Promise<HandlerConfig> {
    const handler = this.find(name, doing);
    if (handler.type === "oci") await requireProgram(handler, doing);
    return handler;
  }

  /** What the runtime of a handler can do; asked once, and again when it could not be executed. */
  async facts(name: string): Promise<RuntimeFacts> {
    const handler = this.#known.get(name);
    if (handler?.type !== "oci") return { ...NATIVE_FEATURES, execsInCgroup: true };
    let facts = this.#facts.get(name);
    if (facts === undefined) {
      facts = probeRuntime(handler);
      this.#facts.set(name, facts);
      facts.catch(() => this.#facts.delete(name));
    }
    return await facts;
  }

  /** The default one first, under the name "". A runtime that cannot be executed has no features. */
  async list(): Promise<HandlerStatus[]> {
    const names = ["", ...this.#known.keys()];
    return await Promise.all(names.map((name) => this.#statusOf(name)));
  }

  async #statusOf(name: string): Promise<HandlerStatus> {
    const handler = this.#known.get(name === "" ? this.#default : name) as HandlerConfig;
    if (handler.type === "native") return { name, type: "native", path: null, features: NATIVE_FEATURES };
    const { recursiveReadOnlyMounts, userNamespaces } = await this.facts(handler.name).catch(
      () => NO_FEATURES,
    );
    return { name, type: "oci", path: handler.path, features: { recursiveReadOnlyMounts, userNamespaces } };
  }

  /** A sentence about each runtime that cannot be executed, for the daemon's log. */
  async complaints(): Promise<string[]> {
    const asked = [...this.#known.keys()].map((name) =>
      this.facts(name).then(
        () => [],
        (error: unknown) => [`runtime handler "${name}": ${messageOf(error)}`],
      ),
    );
    return (await Promise.all(asked)).flat();
  }
}

async function requireProgram(handler: { name: string; path: string }, doing: string): Promise<void> {
  try {
    await access(handler.path, constants.X_OK);
  } catch (error) {
    throw new BerthError(
      "FAILED_PRECONDITION",
      `${doing}: runtime "${handler.path}" of handler "${handler.name}": ` +
        `${errnoOf(error) ?? messageOf(error)}; install it, or mend handlers in berth.toml`,
    );
  }
}
