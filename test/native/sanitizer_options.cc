// Where the sanitizers of a berth-monitor report: it is started with an empty environment and without a
// terminal, so that neither ASAN_OPTIONS nor standard error is of use. Called before the sanitizers are set
// up: nothing here may be instrumented, and only plain system calls work.

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

char options[4300] = "print_stacktrace=1:log_path=";
char line[4096];
bool is_ready = false;

/// Appends the third word of the command line, the state directory: there a test finds the report.
void AppendStateDirectory(char* at, long size) {
  long from = 0;
  for (int words = 0; words < 2 && from < size; from++) words += line[from] == '\0' ? 1 : 0;
  while (from < size && line[from] != '\0') *at++ = line[from++];
  for (const char* name = "/sanitizer"; *name != '\0'; name++) *at++ = *name;
  *at = '\0';
}

}  // namespace

extern "C" const char* __asan_default_options() {
  if (is_ready) return options;
  long fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  long size = syscall(SYS_read, fd, line, sizeof line);
  syscall(SYS_close, fd);
  char* end = options;
  while (*end != '=') end++;
  for (end++; *end != '='; end++) {
  }
  AppendStateDirectory(end + 1, size);
  is_ready = true;
  return options;
}

extern "C" const char* __ubsan_default_options() { return __asan_default_options(); }
