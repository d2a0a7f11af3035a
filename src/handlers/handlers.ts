// The runtime handlers that this daemon has.

import { access, constants } from "node:fs/promises";
import { BerthError, errnoOf, messageOf } from "../lib/errors.ts";
import type { HandlerConfig, HandlerFeatures, OciHandler } from "../types/handler.ts";
import { closedDirectory } from "./open-path.ts";
import { probeRuntime, type RuntimeFacts } from "./probe-runtime.ts";

export interface HandlerStatus {
  /** "" is the default one, by the CRI. */
  readonly name: string;
  readonly type: HandlerConfig["type"];
  /** Null for the native ones. */
  readonly path: string | null;
  /** Where the host can: user namespaces need that too. */
  readonly features: HandlerFeatures;
}

/** berth makes mounts read-only and maps ids, whoever makes the process. */
const ALL_FEATURES: HandlerFeatures = { recursiveReadOnlyMounts: true, userNamespaces: true };
const NO_FEATURES: HandlerFeatures = { recursiveReadOnlyMounts: false, userNamespaces: false };
const NATIVE_FACTS: RuntimeFacts = { execsInCgroup: true, version: "", userNamespacesMissing: "" };

export class Handlers {
  readonly #known: ReadonlyMap<string, HandlerConfig>;
  readonly #default: string;
  readonly #facts = new Map<string, Promise<RuntimeFacts>>();

  readonly #stateDirectory: string;

  /** `stateDirectory` is where the mounts that external runtimes take from the host are attached. */
  constructor(handlers: readonly HandlerConfig[], defaultName: string, stateDirectory: string) {
    this.#stateDirectory = stateDirectory;
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
    if (handler?.type !== "oci") return NATIVE_FACTS;
    let facts = this.#facts.get(name);
    if (facts === undefined) {
      facts = probeRuntime(handler);
      this.#facts.set(name, facts);
      facts.catch(() => this.#facts.delete(name));
    }
    return await facts;
  }

  /** FAILED_PRECONDITION, naming runtime, version and what is missing, when it cannot run pods with one. */
  async requireUserNamespaces(name: string, doing: string): Promise<void> {
    const handler = this.find(name, doing);
    if (handler.type === "native") return;
    const missing = await this.#userNamespacesMissing(handler);
    if (missing === "") return;
    const { version } = await this.facts(handler.name);
    const which = `runtime "${handler.path}"${version === "" ? "" : ` (${version})`}`;
    throw new BerthError(
      "FAILED_PRECONDITION",
      `${doing}: handler "${handler.name}": no user namespaces with ${which}: ${missing}`,
    );
  }

  async #userNamespacesMissing(handler: OciHandler): Promise<string> {
    const { userNamespacesMissing } = await this.facts(handler.name);
    if (userNamespacesMissing !== "") return `${userNamespacesMissing}; use the native handler`;
    const closed = await closedDirectory(this.#stateDirectory);
    if (closed === null) return "";
    return (
      `root of such a pod cannot pass directory "${closed.path}" (mode ${closed.mode.toString(8)}) on its ` +
      "way to its mounts; let others pass (chmod o+x), or move --state"
    );
  }

  /** The default one first, under the name "". A runtime that cannot be executed has no features. */
  async list(): Promise<HandlerStatus[]> {
    const names = ["", ...this.#known.keys()];
    return await Promise.all(names.map((name) => this.#statusOf(name)));
  }

  async #statusOf(name: string): Promise<HandlerStatus> {
    const handler = this.#known.get(name === "" ? this.#default : name) as HandlerConfig;
    if (handler.type === "native") return { name, type: "native", path: null, features: ALL_FEATURES };
    const features = await this.#userNamespacesMissing(handler).then(
      (missing) => ({ ...ALL_FEATURES, userNamespaces: missing === "" }),
      () => NO_FEATURES,
    );
    return { name, type: "oci", path: handler.path, features };
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
