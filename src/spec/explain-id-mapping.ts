// Why the ids of a mount cannot be mapped: mostly because its file system cannot, which is then named.

import { KernelError, messageOf } from "../lib/errors.ts";

/** Magic numbers (statfs(2)) of file systems that people meet here. */
const FILE_SYSTEMS: Readonly<Record<string, string>> = {
  "0x6969": "NFS",
  "0xff534d42": "CIFS",
  "0xfe534d42": "SMB",
  "0x65735546": "FUSE",
  "0x794c7630": "overlay",
  "0x1021994": "tmpfs or devtmpfs",
  "0xc36400": "Ceph",
  "0x9fa0": "proc",
  "0x62656572": "sysfs",
  "0x63677270": "cgroup2",
  "0x19800202": "mqueue",
  "0x1cd1": "devpts",
  "0x73717368": "squashfs",
  "0x958458f6": "hugetlbfs",
  "0x2fc12fc1": "ZFS",
  "0x4d44": "FAT",
  "0x1021997": "9p",
  "0xe0f5e1e2": "EROFS",
};
const PREFIX = "fs:";

/** addon/kernel/userns.cc, MapTreeIds: the path is then that of a file system's type. */
export function isIdMapping(error: unknown): boolean {
  return error instanceof KernelError && error.path.startsWith(PREFIX);
}

/** Such as `map ids of "/srv": EINVAL; its file system (NFS) cannot do that on this kernel`. */
export function explainIdMapping(doing: string, error: unknown): string {
  if (!(error instanceof KernelError) || !isIdMapping(error)) return `${doing}: ${messageOf(error)}`;
  const magic = error.path.slice(PREFIX.length);
  const name = FILE_SYSTEMS[magic] ?? `type ${magic}`;
  return `${doing}: ${error.errno}; its file system (${name}) cannot do that on this kernel`;
}
