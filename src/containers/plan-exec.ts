// What one more process in a running container.

import { resolveImage } from "../images/resolve-image.ts";
import { BerthError } from "../lib/errors.ts";
import type { ExecPlanInput, ResolvedUser } from "../spec/inputs.ts";
import { execUserInput, resolveUser } from "../spec/resolve-user.ts";
import type { Container } from "../types/container.ts";
import type { ContainerDeps } from "./deps.ts";
import { seccompProgram } from "./seccomp-program.ts";

export interface ExecWishes {
  readonly argv: readonly string[];
  readonly console?: { readonly rows: number; readonly columns: number } | undefined;
  /** "NAME=value", on top of the container's. */
  readonly env?: readonly string[] | undefined;
  /** "user[:group]" by name or number, looked up in the image. */
  readonly user?: string | undefined;
  readonly workingDir?: string | undefined;
  readonly privileged?: boolean | undefined;
}

/** What the plan of an exec, or a foreign runtime's description of one, is made of. */
export async function execInput(
  deps: ContainerDeps,
  container: Container,
  wishes: ExecWishes,
): Promise<ExecPlanInput> {
  const template = container.execTemplate;
  const confined = !template.privileged && wishes.privileged !== true;
  const [seccomp, user] = await Promise.all([
    confined ? seccompProgram(deps, template.security) : Promise.resolve(null),
    execUser(deps, container, wishes.user ?? ""),
  ]);
  return {
    template,
    argv: wishes.argv,
    host: deps.host,
    seccomp,
    console: wishes.console,
    env: wishes.env,
    user,
    workingDir: wishes.workingDir === "" ? undefined : wishes.workingDir,
    privileged: wishes.privileged,
  };
}

async function execUser(
  deps: ContainerDeps,
  container: Container,
  user: string,
): Promise<ResolvedUser | undefined> {
  if (user === "") return undefined;
  const image = resolveImage(deps.store, container.imageId);
  if (image === null && /^\d+(:\d+)?$/.test(user)) {
    return resolveUser(execUserInput(user, { passwd: null, group: null }));
  }
  if (image === null) {
    throw new BerthError(
      "NOT_FOUND",
      `exec in container "${container.id}": user "${user}": the container's image was removed; give a number`,
    );
  }
  return resolveUser(execUserInput(user, await deps.userFiles.get(image)));
}
