// What a container tries with its mounts.
#include <errno.h>
#include <sys/mount.h>

#include <cstdio>
#include <cstring>

#include "actions.h"

namespace probe {

static int Told(const char* what, bool done) {
  printf("%s: %s\n", what, done ? "ok" : strerrorname_np(errno));
  return done ? 0 : 1;
}

int Unmount(int count, char** words) {
  if (count < 1) return 2;
  return Told("unmount", umount2(words[0], MNT_DETACH) == 0);
}

/** "rw" and "dev" allow what the mount forbids; "ro" forbids more. */
int Remount(int count, char** words) {
  if (count < 2) return 2;
  mount_attr attributes = {};
  if (strcmp(words[1], "rw") == 0) attributes.attr_clr = MOUNT_ATTR_RDONLY;
  if (strcmp(words[1], "dev") == 0) attributes.attr_clr = MOUNT_ATTR_NODEV;
  if (strcmp(words[1], "ro") == 0) attributes.attr_set = MOUNT_ATTR_RDONLY;
  return Told("remount", mount_setattr(-100, words[0], 0, &attributes, sizeof attributes) == 0);
}

int Mount(int count, char** words) {
  if (count < 2) return 2;
  return Told("mount", mount("probe", words[1], words[0], 0, nullptr) == 0);
}

}  // namespace probe
