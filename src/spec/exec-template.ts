import type { ExecTemplate } from "../types/container.ts";
import type { ContainerPlanInput } from "./inputs.ts";
import { processEnvironment, workingDirectory } from "./process.ts";
import { userMappingOf } from "./user-namespace.ts";

/** What later execs inherit from the container; kept in its row. */
export function makeExecTemplate(input: ContainerPlanInput): ExecTemplate {
  const mapping = userMappingOf(input.pod.security.namespaces);
  const { container, image, user } = input;
  return {
    env: processEnvironment(input),
    workingDir: workingDirectory(container.workingDir, image),
    user: { uid: user.uid, gid: user.gid, groups: user.groups },
    privileged: container.security.privileged,
    security: container.security,
    ...(input.selinux == null ? {} : { selinuxLabel: input.selinux.process }),
    oomScoreAdj: container.resources?.oomScoreAdj ?? 0,
    ...(mapping === null ? {} : { userMapping: mapping }),
  };
}
