// A session whose failures name the step of the plan.

import { KernelError } from "../lib/errors.ts";
import type { StreamSession } from "../monitor/monitor.ts";
import { explainPlanFailure } from "../spec/explain-failure.ts";
import type { Plan } from "../types/plan.ts";

/** The same session; `started` and `exited` reject with what failed in words (see explainPlanFailure). */
export function explainedSession(
  session: StreamSession,
  doing: string,
  plan: Plan,
  failure: (error: KernelError) => Error | Promise<Error> = (error) => explainPlanFailure(doing, plan, error),
): StreamSession {
  const explain = async (error: unknown): Promise<never> => {
    throw error instanceof KernelError ? await failure(error) : error;
  };
  const started = session.started.catch(explain);
  const exited = session.exited.catch(explain);
  // Who looks at neither must not end the daemon by an unhandled rejection.
  started.catch(() => {});
  exited.catch(() => {});
  return new Proxy(session, {
    get(target, property) {
      if (property === "started") return started;
      if (property === "exited") return exited;
      const value = Reflect.get(target, property, target) as unknown;
      return typeof value === "function" && !/^on[A-Z]/.test(String(property)) ? value.bind(target) : value;
    },
    set: (target, property, value) => Reflect.set(target, property, value, target),
  });
}
