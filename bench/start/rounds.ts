// One round of each subject. Before every timed call there is a pause: a kernel that moved a process between
// cgroups just now does it much faster again, and no node starts containers without end.

import { setTimeout as sleep } from "node:timers/promises";
import type { Samples } from "../run/samples.ts";
import type { CriEngine, Network, Pod } from "../subjects/cri-engine.ts";
import type { OciRuntime } from "../subjects/oci-runtime.ts";

/** Execs after a pause, and execs in a row without one, per round. */
const EXECS = 3;
const EXECS_IN_A_ROW = 10;

export class Rounds {
  readonly #samples: Samples;
  readonly #pauseMs: number;
  readonly #signal: AbortSignal;

  constructor(samples: Samples, pauseMs: number, signal: AbortSignal) {
    this.#samples = samples;
    this.#pauseMs = pauseMs;
    this.#signal = signal;
  }

  async #pause(): Promise<void> {
    this.#signal.throwIfAborted();
    if (this.#pauseMs > 0) await sleep(this.#pauseMs);
  }

  /** Pauses, then runs and times `step` as `work`. */
  async #time<T>(subject: string, work: string, step: () => Promise<T>): Promise<T> {
    await this.#pause();
    return this.#samples.time(subject, work, step);
  }

  /** A pod from its making to its removal; the bare containers are measured in one on the host's network. */
  async cri(engine: CriEngine, network: Network): Promise<void> {
    const { name } = engine;
    const label = (call: string) => `${call}, ${network}`;
    const pod = await this.#time(name, label("RunPodSandbox"), () => engine.runPod(network));
    const id = await this.#time(name, label("CreateContainer"), () => engine.createContainer(pod, "sleep"));
    await this.#time(name, label("StartContainer"), () => engine.startContainer(id));
    if (network === "host") await this.#execs(engine, id);
    await this.#time(name, label("StopContainer(0)"), () => engine.stopContainer(id));
    await this.#time(name, label("RemoveContainer"), () => engine.removeContainer(id));
    if (network === "host") {
      await this.#createAndStart(engine, pod);
      await this.#toItsEnd(engine, pod);
    }
    await this.#time(name, label("StopPodSandbox"), () => engine.stopPod(pod.id));
    await this.#time(name, label("RemovePodSandbox"), () => engine.removePod(pod.id));
  }

  async #execs(engine: CriEngine, id: string): Promise<void> {
    for (let index = 0; index < EXECS; index++) {
      await this.#time(engine.name, "exec", () => engine.execTrue(id));
    }
    await this.#pause();
    for (let index = 0; index < EXECS_IN_A_ROW; index++) {
      await this.#samples.time(engine.name, "exec in a row", () => engine.execTrue(id));
    }
  }

  /** The two calls without a pause between them. */
  async #createAndStart(engine: CriEngine, pod: Pod): Promise<void> {
    let id = "";
    await this.#time(engine.name, "create + start", async () => {
      id = await engine.createContainer(pod, "sleep");
      await engine.startContainer(id);
    });
    await this.#time(engine.name, "kill + remove", async () => {
      await engine.stopContainer(id);
      await engine.removeContainer(id);
    });
  }

  async #toItsEnd(engine: CriEngine, pod: Pod): Promise<void> {
    await this.#time(engine.name, "run to the end", async () => {
      const id = await engine.createContainer(pod, "true");
      await engine.startContainer(id);
      await engine.waitForExit(id);
      await engine.removeContainer(id);
    });
  }

  async oci(runtime: OciRuntime): Promise<void> {
    const { name } = runtime;
    const add = async (work: string, command: () => Promise<number>, pause = true) => {
      if (pause) await this.#pause();
      const milliseconds = await command();
      this.#samples.add(name, work, milliseconds);
      return milliseconds;
    };
    await add("run to the end", () => runtime.runTrue());
    const created = await add("create", () => runtime.create());
    const started = await add("start", () => runtime.start(), false);
    this.#samples.add(name, "create + start", created + started);
    for (let index = 0; index < EXECS; index++) await add("exec", () => runtime.execTrue());
    for (let index = 0; index < EXECS_IN_A_ROW; index++) {
      await add("exec in a row", () => runtime.execTrue(), false);
    }
    await add("kill + remove", () => runtime.remove());
  }
}
