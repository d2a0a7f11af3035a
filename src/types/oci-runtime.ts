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

export const OciDeviceRule = Type.Object({
  allow: Type.Boolean(),
  access: Type.String(),
});

export const OciHook = Type.Object({
  path: Type.String(),
  args: Strings,
  env: Strings,
  timeout: Type.Integer(),
});

export const OciSeccomp = Type.Object({
  defaultAction: Type.String(),
  defaultErrnoRet: Type.Optional(Type.Integer()),
  architectures: Strings,
  syscalls: Type.Array(
    Type.Object({
      names: Strings,
      action: Type.String(),
      errnoRet: Type.Optional(Type.Integer()),
      args: Type.Array(
        Type.Object({
          index: Type.Integer(),
          value: Type.Integer(),
          valueTwo: Type.Integer(),
          op: Type.String(),
        }),
      ),
    }),
  ),
});

export const OciNamespace = Type.Object({ type: Type.String(), path: Type.Optional(Type.String()) });

const OciIdMapping = Type.Object({
  containerID: Type.Integer(),
  hostID: Type.Integer(),
  size: Type.Integer(),
});

export const OciProcess = Type.Object({
  terminal: Type.Boolean(),
  consoleSize: Type.Optional(Type.Object({ height: Type.Integer(), width: Type.Integer() })),
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
  apparmorProfile: Type.Optional(Type.String()),
  selinuxLabel: Type.Optional(Type.String()),
});

export const OciResources = Type.Object({
  devices: Type.Optional(Type.Array(OciDeviceRule)),
});

export const OciSpec = Type.Object({
  ociVersion: Type.String(),
  root: Type.Object({ path: Type.String(), readonly: Type.Boolean() }),
  process: OciProcess,
  mounts: Type.Array(OciMount),
  annotations: StringMap,
  hooks: Type.Optional(Type.Record(Type.String(), Type.Array(OciHook))),
  linux: Type.Object({
    namespaces: Type.Array(OciNamespace),
    uidMappings: Type.Optional(Type.Array(OciIdMapping)),
    gidMappings: Type.Optional(Type.Array(OciIdMapping)),
    devices: Type.Array(OciDevice),
    mountLabel: Type.Optional(Type.String()),
    maskedPaths: Strings,
    readonlyPaths: Strings,
    resources: OciResources,
    cgroupsPath: Type.String(),
    rootfsPropagation: Type.String(),
    seccomp: Type.Optional(OciSeccomp),
  }),
});

export type OciSpec = Static<typeof OciSpec>;
export type OciMount = Static<typeof OciMount>;
export type OciNamespace = Static<typeof OciNamespace>;
export type OciProcess = Static<typeof OciProcess>;
export type OciSeccomp = Static<typeof OciSeccomp>;
export type OciDeviceRule = Static<typeof OciDeviceRule>;
