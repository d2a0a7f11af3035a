// Hook descriptions (JSON, version 1.0.0, as containers/common has them in its hooks.d): which hook runs for
// which containers at which stages.

import Type, { type Static } from "typebox";
import Value from "typebox/value";
import { BerthError, messageOf } from "../lib/errors.ts";
import { HOOK_STAGES, type Hook, type HookStage, type Hooks } from "../types/handler.ts";

const Text = Type.String({ pattern: "^[^\\u0000]*$" });
const closed = { additionalProperties: false } as const;

const HookFileSchema = Type.Object(
  {
    version: Type.Literal("1.0.0"),
    hook: Type.Object(
      {
        path: Type.String({ pattern: "^/[^\\u0000]*$" }),
        args: Type.Optional(Type.Array(Text)),
        env: Type.Optional(Type.Array(Text)),
        timeout: Type.Optional(Type.Integer({ minimum: 1, maximum: 3600 })),
      },
      closed,
    ),
    when: Type.Object(
      {
        always: Type.Optional(Type.Boolean()),
        annotations: Type.Optional(Type.Record(Type.String(), Type.String())),
        commands: Type.Optional(Type.Array(Type.String())),
        hasBindMounts: Type.Optional(Type.Boolean()),
      },
      closed,
    ),
    stages: Type.Array(Type.Enum([...HOOK_STAGES]), { minItems: 1 }),
  },
  closed,
);

/** Seconds of a hook that says nothing: one that hangs must not hold a container for ever. */
const DEFAULT_TIMEOUT = 30;

/** What the conditions of a hook look at. */
export interface HookSubject {
  readonly annotations: Readonly<Record<string, string>>;
  /** The first word of the container's command. */
  readonly command: string;
  readonly hasBindMounts: boolean;
}

export interface HookFile {
  readonly hook: Hook;
  readonly stages: readonly HookStage[];
  matches(subject: HookSubject): boolean;
}

/** FAILED_PRECONDITION, naming the file, for what is no JSON or no description of version 1.0.0. */
export function parseHookFile(path: string, text: string): HookFile {
  const refuse = (why: string): never => {
    throw new BerthError("FAILED_PRECONDITION", `hook file "${path}": ${why}; mend it or remove it`);
  };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    return refuse(`not JSON: ${messageOf(error)}`);
  }
  const wrong = Value.Errors(HookFileSchema, json)[0];
  if (wrong !== undefined) return refuse(describe(wrong));
  const { hook, when, stages } = json as Static<typeof HookFileSchema>;
  if (Object.keys(when).length === 0) return refuse('"when" has no condition; write "always": true');
  const pattern = (source: string) => {
    try {
      return new RegExp(source, "u");
    } catch (error) {
      return refuse(messageOf(error));
    }
  };
  const annotations = Object.entries(when.annotations ?? {}).map(
    ([k, v]) => [pattern(k), pattern(v)] as const,
  );
  const commands = when.commands?.map(pattern);
  return {
    hook: {
      path: hook.path,
      args: hook.args !== undefined && hook.args.length > 0 ? hook.args : [hook.path],
      env: hook.env ?? [],
      timeout: hook.timeout ?? DEFAULT_TIMEOUT,
    },
    stages: [...new Set(stages)],
    // All of the given conditions must hold.
    matches: (subject) =>
      (when.always ?? true) &&
      annotations.every(([key, value]) => hasAnnotation(subject.annotations, key, value)) &&
      (commands === undefined || commands.some((command) => command.test(subject.command))) &&
      (when.hasBindMounts === undefined || when.hasBindMounts === subject.hasBindMounts),
  };
}

function describe(wrong: ReturnType<typeof Value.Errors>[number]): string {
  const at = wrong.instancePath.slice(1).replaceAll("/", ".");
  const { additionalProperties, allowedValues } = wrong.params as {
    additionalProperties?: string[];
    allowedValues?: unknown[];
  };
  const what = additionalProperties ?? allowedValues?.map((value) => JSON.stringify(value));
  return `${at === "" ? "" : `"${at}" `}${wrong.message}${what === undefined ? "" : `: ${what.join(", ")}`}`;
}

function hasAnnotation(annotations: Readonly<Record<string, string>>, key: RegExp, value: RegExp): boolean {
  return Object.entries(annotations).some(([name, text]) => key.test(name) && value.test(text));
}

/** The hooks of a container by stage, in the order of the files. */
export function hooksFor(files: readonly HookFile[], subject: HookSubject): Hooks {
  const hooks: Partial<Record<HookStage, Hook[]>> = {};
  for (const file of files) {
    if (!file.matches(subject)) continue;
    for (const stage of file.stages) hooks[stage] = [...(hooks[stage] ?? []), file.hook];
  }
  return hooks;
}

/** What a CDI specification says of its hooks. */
export interface DeviceHook {
  readonly hookName: string;
  readonly path: string;
  readonly args?: readonly string[] | undefined;
  readonly env?: readonly string[] | undefined;
  readonly timeout?: number | undefined;
}

/** The hooks of a container's CDI devices. INVALID_ARGUMENT for a stage that there is not. */
export function hooksOfDevices(devices: readonly DeviceHook[]): Hooks {
  const hooks: Partial<Record<HookStage, Hook[]>> = {};
  for (const { hookName, path, args = [], env = [], timeout = 0 } of devices) {
    const stage = HOOK_STAGES.find((one) => one === hookName);
    if (stage === undefined || !path.startsWith("/")) {
      const what = `hook "${path}" of stage "${hookName}"`;
      throw new BerthError("INVALID_ARGUMENT", `CDI devices: ${what}: no such stage, or no absolute path`);
    }
    const hook = {
      path,
      args: args.length > 0 ? args : [path],
      env,
      timeout: timeout > 0 ? timeout : DEFAULT_TIMEOUT,
    };
    hooks[stage] = [...(hooks[stage] ?? []), hook];
  }
  return hooks;
}

export function joinHooks(first: Hooks, second: Hooks): Hooks {
  const all = HOOK_STAGES.map(
    (stage) => [stage, [...(first[stage] ?? []), ...(second[stage] ?? [])]] as const,
  );
  return Object.fromEntries(all.filter(([, hooks]) => hooks.length > 0));
}
