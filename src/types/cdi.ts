// Container Device Interface specifications (CDI 1.0): what a vendor writes about its devices. The schema
// holds what berth executes; a key that it lacks would be lost, so unknown edits are refused.

import Type, { type Static } from "typebox";
import { HOOK_STAGES } from "./handler.ts";

const Text = Type.String();
const Count = Type.Integer({ minimum: 0 });

export const CdiDeviceNode = Type.Object(
  {
    path: Text,
    hostPath: Type.Optional(Text),
    type: Type.Optional(Type.Enum(["c", "b", "u", "p", ""])),
    major: Type.Optional(Count),
    minor: Type.Optional(Count),
    fileMode: Type.Optional(Count),
    permissions: Type.Optional(Type.String({ pattern: "^[rwm]*$" })),
    uid: Type.Optional(Count),
    gid: Type.Optional(Count),
  },
  { additionalProperties: false },
);

export const CdiMount = Type.Object(
  {
    hostPath: Text,
    containerPath: Text,
    type: Type.Optional(Text),
    options: Type.Optional(Type.Array(Text)),
  },
  { additionalProperties: false },
);

export const CdiHook = Type.Object(
  {
    hookName: Type.Enum([...HOOK_STAGES]),
    path: Text,
    args: Type.Optional(Type.Array(Text)),
    env: Type.Optional(Type.Array(Text)),
    timeout: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  { additionalProperties: false },
);

export const CdiEdits = Type.Object(
  {
    env: Type.Optional(Type.Array(Type.String({ pattern: "^[^=\\u0000]+=[^\\u0000]*$" }))),
    deviceNodes: Type.Optional(Type.Array(CdiDeviceNode)),
    mounts: Type.Optional(Type.Array(CdiMount)),
    hooks: Type.Optional(Type.Array(CdiHook)),
    additionalGids: Type.Optional(Type.Array(Count)),
  },
  { additionalProperties: false },
);

export const CdiSpec = Type.Object(
  {
    cdiVersion: Type.String({ pattern: "^(v)?[01]\\.[0-9]+\\.[0-9]+$" }),
    kind: Type.String({
      pattern: "^[A-Za-z]([A-Za-z0-9_.-]*[A-Za-z0-9])?/[A-Za-z]([A-Za-z0-9_-]*[A-Za-z0-9])?$",
    }),
    annotations: Type.Optional(Type.Record(Text, Text)),
    devices: Type.Array(
      Type.Object(
        {
          name: Type.String({ pattern: "^[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?$" }),
          annotations: Type.Optional(Type.Record(Text, Text)),
          containerEdits: CdiEdits,
        },
        { additionalProperties: false },
      ),
    ),
    containerEdits: Type.Optional(CdiEdits),
  },
  { additionalProperties: false },
);

export type CdiDeviceNode = Static<typeof CdiDeviceNode>;
export type CdiMount = Static<typeof CdiMount>;
export type CdiHook = Static<typeof CdiHook>;
export type CdiEdits = Static<typeof CdiEdits>;
export type CdiSpec = Static<typeof CdiSpec>;
