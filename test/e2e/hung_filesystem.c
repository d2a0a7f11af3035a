// A file system that answers nothing: whoever looks up a name in it waits until this program ends, as on a dead
// file server. Usage: hung-filesystem <directory>. It says "mounted" and ends by SIGTERM, or after two minutes.

#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static char request[1 << 20];

static int answer_init(int fuse, const struct fuse_in_header *header) {
  struct {
    struct fuse_out_header header;
    struct fuse_init_out body;
  } answer;
  memset(&answer, 0, sizeof answer);
  answer.header.len = sizeof answer;
  answer.header.unique = header->unique;
  answer.body.major = FUSE_KERNEL_VERSION;
  answer.body.minor = FUSE_KERNEL_MINOR_VERSION;
  answer.body.max_write = 4096;
  return write(fuse, &answer, sizeof answer) == sizeof answer ? 0 : -1;
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (fuse < 0) return perror("open /dev/fuse"), 1;
  char options[128];
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fuse);
  if (mount("hung", argv[1], "fuse", MS_NOSUID | MS_NODEV, options) != 0) return perror("mount"), 1;
  puts("mounted");
  fflush(stdout);
  alarm(120);
  // A request that was read cannot be taken back by a signal: who made it is stuck in the kernel.
  while (read(fuse, request, sizeof request) > 0) {
    struct fuse_in_header header;
    memcpy(&header, request, sizeof header);
    if (header.opcode == FUSE_INIT && answer_init(fuse, &header) != 0) return perror("answer"), 1;
  }
  return 0;
}
