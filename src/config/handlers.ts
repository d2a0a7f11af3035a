// The [handlers] tables of berth.toml, and where hooks are described.

import { type Static, Type } from "typebox";
import { BerthError } from "../lib/errors.ts";
import type { HandlerConfig } from "../types/handler.ts";
import { absolutePath } from "./values.ts";

export const HandlersSchema = Type.Record(
  Type.String(),
  Type.Object({
    type: Type.Optional(Type.Enum(["native", "oci"])),
    path: Type.Optional(absolutePath),
    args: Type.Optional(Type.Array(Type.String({ pattern: "^[^\\u0000]+$" }))),
    root: Type.Optional(absolutePath),
    timeout_seconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 3600 })),
    privileged_without_host_devices: Type.Optional(Type.Boolean()),
  }),
);

type HandlersFile = Static<typeof HandlersSchema>;

export const NATIVE = "native";
const TIMEOUT_SECONDS = 30;
/** What a RuntimeClass can name (a DNS label). */
const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** "native" is always there. INVALID_ARGUMENT for names that no client can use and keys that mean nothing. */
export function handlersOf(tables: HandlersFile = {}): HandlerConfig[] {
  const handlers: HandlerConfig[] = [{ name: NATIVE, type: "native" }];
  for (const [name, table] of Object.entries(tables)) {
    const at = `handlers.${name}`;
    if (!NAME.test(name)) refuse(`${at}: the name must be of a-z, 0-9 and "-", at most 63 characters`);
    const isNative = (table.type ?? (name === NATIVE ? "native" : "oci")) === "native";
    if (name === NATIVE && !isNative) refuse(`${at}: this name is berth's own handler; choose another`);
    if (isNative) {
      const more = Object.keys(table).filter((key) => key !== "type");
      if (more.length > 0) refuse(`${at}.${more[0]}: only a handler of type "oci" has it`);
      if (name !== NATIVE) handlers.push({ name, type: "native" });
      continue;
    }
    if (table.path === undefined) {
      throw new BerthError(
        "INVALID_ARGUMENT",
        `${at}.path: missing; name the runtime, such as "/usr/bin/${name}"`,
      );
    }
    handlers.push({
      name,
      type: "oci",
      path: table.path,
      args: table.args ?? [],
      root: table.root ?? "",
      timeoutMs: (table.timeout_seconds ?? TIMEOUT_SECONDS) * 1000,
      privilegedWithoutHostDevices: table.privileged_without_host_devices ?? false,
    });
  }
  return handlers;
}

/** The handler that "" stands for. */
export function defaultHandlerOf(name: string | undefined, handlers: readonly HandlerConfig[]): string {
  if (name === undefined) return NATIVE;
  if (handlers.some((handler) => handler.name === name)) return name;
  const known = handlers.map((handler) => `"${handler.name}"`).join(", ");
  throw new BerthError("INVALID_ARGUMENT", `default_handler "${name}": no such handler; there is ${known}`);
}

function refuse(why: string): never {
  throw new BerthError("INVALID_ARGUMENT", why);
}
