#include "actions.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "report.h"

namespace probe {

static int Failed(const char* what) {
  printf("%s: %s\n", what, strerrorname_np(errno));
  return 1;
}

static int Exit(int count, char** words) { return count > 0 ? atoi(words[0]) : 0; }

static int SignalSelf(int count, char** words) {
  const int number = count > 0 ? atoi(words[0]) : SIGTERM;
  signal(number, SIG_DFL);
  raise(number);
  // Still here: PID 1 does not die of its own signals.
  return 70;
}

/** In a set-user-ID image: what no_new_privs keeps from happening. */
static int EffectiveUid(int, char**) {
  printf("Effective uid: %u\n", geteuid());
  return 0;
}

static void OnTerm(int) {
  static const char kText[] = "term\n";
  if (write(STDOUT_FILENO, kText, sizeof kText - 1) < 0) _exit(1);
  _exit(0);
}

/** Until the time is over, or for ever. SIGTERM prints "term" and ends it with 0. */
static int Sleep(int count, char** words) {
  signal(SIGTERM, OnTerm);
  if (count > 0) {
    struct timespec left = {atoi(words[0]), 0};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
    return 0;
  }
  for (;;) pause();
}

static int SleepStubbornly(int count, char** words) {
  signal(SIGTERM, SIG_IGN);
  signal(SIGINT, SIG_IGN);
  printf("stubborn\n");
  fflush(stdout);
  if (count > 0)
    sleep(static_cast<unsigned>(atoi(words[0])));
  else
    for (;;) pause();
  return 0;
}

/** Numbered lines of 64 bytes; the last one is cut (and then has no newline). */
static int Spew(int count, char** words) {
  unsigned long long left = count > 0 ? strtoull(words[0], nullptr, 10) : 0;
  FILE* out = count > 1 && strcmp(words[1], "stderr") == 0 ? stderr : stdout;
  if (count > 1 && strcmp(words[1], "alone") == 0) close(STDERR_FILENO);
  static char buffer[1 << 16];
  setvbuf(out, buffer, _IOFBF, sizeof buffer);
  char line[80];
  for (unsigned long long number = 0; left > 0; ++number) {
    snprintf(line, sizeof line, "%012llu abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWX\n", number);
    const size_t length = left < 64 ? static_cast<size_t>(left) : 64;
    if (fwrite(line, 1, length, out) != length) return 1;
    left -= length;
  }
  return fflush(out) == 0 ? 0 : 1;
}

/** Orphans of a dead parent: whoever is the reaper gets them. With "stay" the probe then sleeps. */
static int MakeOrphans(int count, char** words) {
  const int wanted = count > 0 ? atoi(words[0]) : 8;
  for (int index = 0; index < wanted; ++index) {
    const pid_t middle = fork();
    if (middle < 0) return Failed("fork");
    if (middle == 0) {
      const pid_t orphan = fork();
      if (orphan == 0) {
        while (getppid() == middle) usleep(1000);
        _exit(index & 0xff);
      }
      _exit(orphan < 0 ? 1 : 0);
    }
    int status;
    if (waitpid(middle, &status, 0) != middle) return Failed("waitpid");
  }
  printf("orphans: %d\n", wanted);
  fflush(stdout);
  return count > 1 && strcmp(words[1], "stay") == 0 ? Sleep(0, nullptr) : 0;
}

/** A child, and the child of a dead child in a session of its own: both sleep for ever. With "stay" the
 * probe, too. */
static int LeaveBehind(int count, char** words) {
  for (const bool detached : {false, true}) {
    const pid_t child = fork();
    if (child < 0) return Failed("fork");
    if (child > 0) {
      if (detached) waitpid(child, nullptr, 0);
      continue;
    }
    if (detached && (setsid() < 0 || fork() != 0)) _exit(0);
    for (;;) pause();
  }
  printf("left behind: 2\n");
  fflush(stdout);
  return count > 0 && strcmp(words[0], "stay") == 0 ? Sleep(0, nullptr) : 0;
}

/** Children that write to stdout without end; the probe itself ends at once. */
static int SpewBehind(int, char**) {
  for (int index = 0; index < 4; ++index) {
    const pid_t child = fork();
    if (child < 0) return Failed("fork");
    char zeros[4096] = "";
    while (child == 0 && write(STDOUT_FILENO, zeros, sizeof zeros) > 0) {
    }
    if (child == 0) _exit(0);
  }
  return 0;
}

/** Lines on both streams in turn: "out N" and "err N". */
static int WriteBoth(int count, char** words) {
  const int lines = count > 0 ? atoi(words[0]) : 1;
  for (int number = 0; number < lines; ++number) {
    dprintf(STDOUT_FILENO, "out %d\n", number);
    dprintf(STDERR_FILENO, "err %d\n", number);
  }
  return 0;
}

static int CatStdin(int, char**) {
  char buffer[1 << 16];
  for (;;) {
    const ssize_t length = read(STDIN_FILENO, buffer, sizeof buffer);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) return Failed("read");
    if (length == 0) return 0;
    for (ssize_t done = 0; done < length;) {
      const ssize_t part = write(STDOUT_FILENO, buffer + done, static_cast<size_t>(length - done));
      if (part < 0 && errno != EINTR) return Failed("write");
      if (part > 0) done += part;
    }
  }
}

static int WriteFile(int count, char** words) {
  if (count < 1) return 64;
  const char* text = count > 1 ? words[1] : "written by the probe\n";
  const int fd = open(words[0], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return Failed("write");
  const ssize_t length = static_cast<ssize_t>(strlen(text));
  if (write(fd, text, static_cast<size_t>(length)) != length || close(fd) != 0) return Failed("write");
  printf("write: ok\n");
  return 0;
}

static int ReadFile(int count, char** words) {
  if (count < 1) return 64;
  const int fd = open(words[0], O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Failed("read");
  char buffer[4096];
  ssize_t length;
  while ((length = read(fd, buffer, sizeof buffer)) > 0) {
    fwrite(buffer, 1, static_cast<size_t>(length), stdout);
  }
  close(fd);
  return length < 0 ? Failed("read") : 0;
}

/** "PATH TYPE-AND-MODE(octal) UID GID SIZE" for each path, links not followed. */
static int Stat(int count, char** words) {
  int code = 0;
  for (int index = 0; index < count; ++index) {
    struct stat facts;
    if (lstat(words[index], &facts) != 0) {
      printf("%s %s\n", words[index], strerrorname_np(errno));
      code = 1;
      continue;
    }
    printf("%s %o %u %u %lld\n", words[index], facts.st_mode, facts.st_uid, facts.st_gid,
           static_cast<long long>(facts.st_size));
  }
  return code;
}

static int Mounts(int, char**) {
  fputs(ReadAll("/proc/self/mountinfo").c_str(), stdout);
  return 0;
}

/** Window size now and at each SIGWINCH; ends at "q" or the end of input. */
static int WindowSize(int, char**) {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  sigaction(SIGWINCH, &action, nullptr);
  for (;;) {
    struct winsize size;
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0) return Failed("winsize");
    printf("winsize: %d %d\n", size.ws_row, size.ws_col);
    fflush(stdout);
    char byte;
    const ssize_t length = read(STDIN_FILENO, &byte, 1);
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0 || byte == 'q') return 0;
  }
}

/** Touches that many bytes of memory, prints "ate", and sleeps. */
static int EatMemory(int count, char** words) {
  const size_t bytes = count > 0 ? strtoull(words[0], nullptr, 10) : 0;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return Failed("mmap");
  memset(memory, 1, bytes);
  printf("ate: %zu\n", bytes);
  fflush(stdout);
  return Sleep(0, nullptr);
}

static const Action kActions[] = {
    {"exit", "exit N                 end with that code", Exit},
    {"signal", "signal N               end by that signal", SignalSelf},
    {"sleep", "sleep [SECONDS]        until then or for ever; SIGTERM prints \"term\" and ends it", Sleep},
    {"stubborn", "stubborn [SECONDS]     the same, deaf to SIGTERM and SIGINT", SleepStubbornly},
    {"effective-uid", "effective-uid          \"Effective uid: N\"", EffectiveUid},
    {"spew", "spew BYTES [stderr|alone]  numbered lines of 64 bytes; \"alone\" closes stderr first", Spew},
    {"both", "both [LINES]           \"out N\" on stdout and \"err N\" on stderr", WriteBoth},
    {"spew-behind", "spew-behind            children that write to stdout without end", SpewBehind},
    {"leave-behind", "leave-behind [stay]    a child and a detached grandchild that sleep for ever",
     LeaveBehind},
    {"fork-bomb-lite", "fork-bomb-lite [N] [stay]  double-forked children for PID 1 to reap", MakeOrphans},
    {"try-syscall", "try-syscall NAME...|all  which errno each gives", TrySyscalls},
    {"cat-stdin", "cat-stdin              copy input to output", CatStdin},
    {"write", "write FILE [TEXT]      \"write: ok\" or the errno", WriteFile},
    {"read", "read FILE", ReadFile},
    {"stat", "stat PATH...           mode (octal), uid, gid, size", Stat},
    {"mounts", "mounts                 /proc/self/mountinfo", Mounts},
    {"unmount", "unmount PATH           \"unmount: ok\" or the errno", Unmount},
    {"remount", "remount PATH rw|dev|ro", Remount},
    {"mount", "mount TYPE PATH        \"mount: ok\" or the errno", Mount},
    {"winsize", "winsize                the terminal's size, again at each SIGWINCH", WindowSize},
    {"eat-memory", "eat-memory BYTES       touch them, then sleep", EatMemory},
    {"serve", "serve PORT [TEXT]      answer every TCP connection with an HTTP 200", Serve},
    {"connect", "connect ADDRESS PORT   print what the other end says", Connect},
};

const Action* FindAction(const char* name) {
  for (const Action& action : kActions) {
    if (strcmp(action.name, name) == 0) return &action;
  }
  return nullptr;
}

void PrintUsage() {
  fprintf(stderr, "usage: probe [report] [--json]\n");
  for (const Action& action : kActions) fprintf(stderr, "       probe %s\n", action.usage);
}

}  // namespace probe
