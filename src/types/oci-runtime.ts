// The part of the OCI runtime specification's config.json (1.2) that berth describes containers with.

import Type, { type Static } from "typebox";

const StringMap = Type.Record(Type.String(), Type.String());
const Strings = Type.Array(Type.String());

export const OciMount = Type.Object({
  destination: Type.String(),
  type: Type.String(),
  source: Type.String(),
  options: Strings,
});

export const OciDevice = Type.Object({
  path: Type.String(),
  type: Type.Union([Type.Literal("c"), Type.Literal("b")]),
  major: Type.Integer(),
  minor: Type.Integer(),
  fileMode: Type.Integer(),
  uid: Type.Integer(),
  gid: Type.Integer(),
});

export const OciNamespace = Type.Object({ type: Type.String(), path: Type.Optional(Type.String()) });

export const OciProcess = Type.Object({
  terminal: Type.Boolean(),
  user: Type.Object({
    uid: Type.Integer(),
    gid: Type.Integer(),
    umask: Type.Integer(),
    additionalGids: Type.Array(Type.Integer()),
  }),
  args: Strings,
  env: Strings,
  cwd: Type.String(),
  capabilities: Type.Object({
    bounding: Strings,
    effective: Strings,
    permitted: Strings,
    inheritable: Strings,
    ambient: Strings,
  }),
  rlimits: Type.Array(Type.Object({ type: Type.String(), soft: Type.Integer(), hard: Type.Integer() })),
  noNewPrivileges: Type.Boolean(),
  oomScoreAdj: Type.Integer(),
  apparmorProfile: Type.Optional(Type.String()),
});

export const OciResources = Type.Object({
  memory: Type.Optional(
    Type.Object({ limit: Type.Optional(Type.Integer()), swap: Type.Optional(Type.Integer()) }),
  ),
  cpu: Type.Optional(
    Type.Object({
      shares: Type.Optional(Type.Integer()),
      quota: Type.Optional(Type.Integer()),
      period: Type.Optional(Type.Integer()),
      cpus: Type.Optional(Type.String()),
      mems: Type.Optional(Type.String()),
    }),
  ),
  hugepageLimits: Type.Optional(Type.Array(Type.Object({ pageSize: Type.String(), limit: Type.Integer() }))),
  unified: Type.Optional(StringMap),
});

export const OciSpec = Type.Object({
  ociVersion: Type.String(),
  root: Type.Object({ path: Type.String(), readonly: Type.Boolean() }),
  hostname: Type.Optional(Type.String()),
  process: OciProcess,
  mounts: Type.Array(OciMount),
  annotations: StringMap,
  linux: Type.Object({
    namespaces: Type.Array(OciNamespace),
    devices: Type.Array(OciDevice),
    maskedPaths: Strings,
    readonlyPaths: Strings,
    sysctl: StringMap,
    resources: OciResources,
  }),
});

export type OciSpec = Static<typeof OciSpec>;
export type OciMount = Static<typeof OciMount>;
export type OciNamespace = Static<typeof OciNamespace>;
export type OciProcess = Static<typeof OciProcess>;
export type OciResources = Static<typeof OciResources>;
