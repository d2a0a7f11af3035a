// Stands in for the monitor: takes the plan from descriptor 3 and answers as its first byte says.

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct message {
  uint32_t kind, step_index;
  int32_t error;
  char step[32], path[256];
};

extern char **environ;

// What it inherited, for the test to read.
static void report(const char *state_dir) {
  char path[512];
  snprintf(path, sizeof path, "%s/report", state_dir);
  DIR *entries = opendir("/proc/self/fd");
  char descriptors[256] = "";
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    if (entry->d_name[0] == '.' || atoi(entry->d_name) == dirfd(entries)) continue;
    strcat(strcat(descriptors, descriptors[0] ? "," : ""), entry->d_name);
  }
  closedir(entries);
  int ignored = 0;
  for (int number = 1; number < 32; number++) {
    struct sigaction action;
    if (sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN) ignored++;
  }
  sigset_t blocked;
  sigprocmask(SIG_SETMASK, NULL, &blocked);
  FILE *file = fopen(path, "w");
  int blocks = sigismember(&blocked, SIGTERM), leads = getsid(0) == getpid();
  fprintf(file, "%s %d %d %d %d %d", descriptors, getppid(), leads, environ[0] != NULL, ignored, blocks);
  fclose(file);
}

int main(int argc, char **argv) {
  static char plan[4 << 20];
  struct message answer = {.kind = 2};
  if (argc != 4) return 1;
  ssize_t size = recv(3, plan, sizeof plan, 0);
  switch (size > 0 ? plan[0] : 0) {
    case 'f':
      answer = (struct message){4, 7, ENOSPC, "mount", "/etc"};
      break;
    case 'n':
      answer = (struct message){4, 0xffff, EADDRINUSE, "bind", ""};
      snprintf(answer.path, sizeof answer.path, "%s", argv[3]);
      break;
    case 'x':
      return 3;
    case 'h':
      pause();
      return 0;
    default:
      // The size comes back, so that a large plan is seen to arrive whole.
      answer.step_index = (uint32_t)size;
      report(argv[2]);
  }
  send(3, &answer, answer.kind == 0 ? 0 : sizeof answer, 0);
  close(3);
  if (answer.kind == 2) pause();
  return 0;
}
