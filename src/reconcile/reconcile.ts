// Brings what the rows say and what is there together: once at the start, and again and again for what
// could not be finished.

import type { Call } from "../lib/call.ts";
import { within } from "../lib/deadline.ts";
import { messageOf } from "../lib/errors.ts";
import { allInTurns, inTurns } from "../lib/turns.ts";
import type { PodDeps } from "../pods/deps.ts";
import { removesItself, stateOfPod } from "../pods/pod-lifecycle.ts";
import { containersOfPod } from "../store/containers.ts";
import { listedPods } from "../store/listed.ts";
import { findPod, releasePodKey, unfinishedPodIds, unsettledPodIds } from "../store/pods.ts";
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
    const { store } = this.#deps;
    for (const id of unfinishedPodIds(store)) releasePodKey(store, id);
    const judged = allInTurns(unsettledPodIds(store), (id) => this.#recordFacts(id));
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
    if (pod !== null && removesItself(pod) && stateOfPod(pod) === "READY") void this.#settle(pod.id);
  }

  async #finish(judged: Promise<unknown>): Promise<void> {
    try {
      await judged;
      await allInTurns(unsettledPodIds(this.#deps.store), (id) => this.#settle(id));
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
    const ids = new Set(unfinishedPodIds(store));
    await inTurns(await listedPods(store), (pod) => {
      if (stateOfPod(pod) !== "READY") return;
      if (monitors.get(pod.id) === undefined || removesItself(pod)) ids.add(pod.id);
    });
    const now = Date.now();
    const due = [...ids].filter((id) => (this.#later.get(id)?.at ?? 0) <= now);
    await allInTurns(due, (id) => this.#settle(id));
  }

  async #recordFacts(id: PodId): Promise<void> {
    try {
      for (const { pod, action } of await this.#decide(id)) {
        if (isFact(action)) await apply(this.#deps, this.#call, pod, action);
      }
    } catch (error) {
      this.#deps.log.error({ pod: id, error: messageOf(error) }, "recover pod");
    }
  }

  /** Observes, decides and applies; what fails is tried again later, less and less often. */
  async #settle(id: PodId): Promise<void> {
    if (this.#busy.has(id)) return;
    this.#busy.add(id);
    try {
      const decided = await this.#decide(id);
      for (const { pod, action } of decided) await apply(this.#deps, this.#call, pod, action);
      if (decided.some(({ action }) => action.do === "connect")) this.#postpone(id, TICK_MS);
      else this.#later.delete(id);
    } catch (error) {
      this.#deps.log.warn({ pod: id, error: messageOf(error) }, "pod is not settled yet");
      this.#postpone(id, MAX_DELAY_MS);
    } finally {
      this.#busy.delete(id);
    }
  }

  #postpone(id: PodId, longest: number): void {
    const delay = Math.min((this.#later.get(id)?.delay ?? TICK_MS / 2) * 2, longest);
    this.#later.set(id, { at: Date.now() + delay, delay });
  }

  /** What is to be done, in order; nothing for a pod that is gone. */
  async #decide(id: PodId): Promise<{ pod: Pod; action: Action }[]> {
    const pod = findPod(this.#deps.store, id);
    if (pod === null) return [];
    const containers = containersOfPod(this.#deps.store, pod.id);
    const actions = decide(pod, containers, await observe(this.#deps, pod, containers));
    return actions.map((action) => ({ pod, action }));
  }
}
