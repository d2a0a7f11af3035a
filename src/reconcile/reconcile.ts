// Brings what the rows say and what is there together: once at the start, and again and again for what
// could not be finished.

import type { Call } from "../lib/call.ts";
import { within } from "../lib/deadline.ts";
import { messageOf } from "../lib/errors.ts";
import type { PodDeps } from "../pods/deps.ts";
import { removesItself, stateOfPod } from "../pods/pod-lifecycle.ts";
import { containersOfPod, unfinishedContainers } from "../store/containers.ts";
import { allPods, findPod, releasePodKey, unfinishedPods } from "../store/pods.ts";
import type { BerthEvent } from "../types/events.ts";
import type { PodId } from "../types/ids.ts";
import type { Pod } from "../types/pod.ts";
import { apply, isFact } from "./apply.ts";
import { auditNetworks } from "./audit-networks.ts";
import type { Action } from "./decide.ts";
import { decide } from "./decide.ts";
import { observe } from "./observe.ts";
import { removeOrphans } from "./orphans.ts";

const TICK_MS = 2_000;
const MAX_DELAY_MS = 60_000;
const AUDIT_INTERVAL_MS = 60 * 60 * 1000;
/**
 * Longest delay of the first answer by recovery. One hung monitor costs one second, any number of them no
 * more.
 */
const START_BUDGET_MS = 3_000;

export class Reconciler {
  readonly #deps: PodDeps;
  readonly #call: Call;
  /** Pods whose last try failed: when to try again. */
  readonly #later = new Map<PodId, { at: number; delay: number }>();
  readonly #busy = new Set<PodId>();
  #timer: NodeJS.Timeout | undefined;
  #auditTimer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(deps: PodDeps, call: Call) {
    this.#deps = deps;
    this.#call = call;
  }

  /**
   * Recovery. Resolves when every pod and container is shown in its true state: the daemon then listens.
   * Undoing, removing and orphans follow behind, and no name is blocked by them.
   */
  async start(): Promise<void> {
    const pods = allPods(this.#deps.store);
    for (const pod of pods) if (pod.readyAt === null) releasePodKey(this.#deps.store, pod.id);
    const judged = Promise.all(pods.map((pod) => this.#recordFacts(pod)));
    await within(START_BUDGET_MS, "recover the pods", judged).catch((error) => {
      this.#deps.log.warn({ error: messageOf(error) }, "recovery goes on while calls are answered");
    });
    this.#finish(judged).catch((error) => {
      this.#deps.log.error({ error: messageOf(error) }, "recovery failed");
    });
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#auditTimer);
  }

  /** A pod of `berth run --rm` goes when its container has ended. To be called with every event. */
  onEvent(event: BerthEvent): void {
    if (event.type !== "container-stopped") return;
    const pod = findPod(this.#deps.store, event.podId);
    if (pod !== null && removesItself(pod) && stateOfPod(pod) === "READY") void this.#settle(pod);
  }

  async #finish(judged: Promise<unknown>): Promise<void> {
    try {
      await judged;
      await Promise.all(allPods(this.#deps.store).map((pod) => this.#settle(pod)));
      await removeOrphans(this.#deps);
    } finally {
      // Whatever failed: what is left undone is tried again from now on.
      this.#schedule();
    }
    await this.#audit();
  }

  async #audit(): Promise<void> {
    if (this.#stopped) return;
    await auditNetworks(this.#deps).catch((error) => {
      this.#deps.log.error({ error: messageOf(error) }, "audit of the pods' networks");
    });
    if (this.#stopped) return;
    this.#auditTimer = setTimeout(() => void this.#audit(), AUDIT_INTERVAL_MS).unref();
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#tick()
        .catch((error) => this.#deps.log.error({ error: messageOf(error) }, "reconcile"))
        .then(() => this.#schedule());
    }, TICK_MS);
    this.#timer.unref();
  }

  /** Everything unfinished, and pods whose monitor is not connected. */
  async #tick(): Promise<void> {
    const { store, monitors } = this.#deps;
    const pods = new Map(unfinishedPods(store).map((pod) => [pod.id, pod]));
    for (const { podId } of unfinishedContainers(store)) {
      const pod = findPod(store, podId);
      if (pod !== null) pods.set(podId, pod);
    }
    for (const pod of allPods(store)) {
      if (stateOfPod(pod) !== "READY") continue;
      if (monitors.get(pod.id) === undefined || removesItself(pod)) pods.set(pod.id, pod);
    }
    const now = Date.now();
    const due = [...pods.values()].filter((pod) => (this.#later.get(pod.id)?.at ?? 0) <= now);
    await Promise.all(due.map((pod) => this.#settle(pod)));
  }

  async #recordFacts(pod: Pod): Promise<void> {
    try {
      const actions = await this.#decide(pod);
      for (const action of actions.filter(isFact)) await apply(this.#deps, this.#call, pod, action);
    } catch (error) {
      this.#deps.log.error({ pod: pod.id, error: messageOf(error) }, "recover pod");
    }
  }

  /** Observes, decides and applies; what fails is tried again later, less and less often. */
  async #settle(pod: Pod): Promise<void> {
    if (this.#busy.has(pod.id)) return;
    this.#busy.add(pod.id);
    try {
      const actions = await this.#decide(pod);
      for (const action of actions) await apply(this.#deps, this.#call, pod, action);
      if (actions.some((action) => action.do === "connect")) this.#postpone(pod.id, TICK_MS);
      else this.#later.delete(pod.id);
    } catch (error) {
      this.#deps.log.warn({ pod: pod.id, error: messageOf(error) }, "pod is not settled yet");
      this.#postpone(pod.id, MAX_DELAY_MS);
    } finally {
      this.#busy.delete(pod.id);
    }
  }

  #postpone(id: PodId, longest: number): void {
    const delay = Math.min((this.#later.get(id)?.delay ?? TICK_MS / 2) * 2, longest);
    this.#later.set(id, { at: Date.now() + delay, delay });
  }

  async #decide(known: Pod): Promise<Action[]> {
    const pod = findPod(this.#deps.store, known.id);
    if (pod === null) return [];
    const containers = containersOfPod(this.#deps.store, pod.id);
    return decide(pod, containers, await observe(this.#deps, pod, containers));
  }
}
