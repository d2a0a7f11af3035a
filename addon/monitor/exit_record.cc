#include "exit_record.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

namespace berth {

void WriteExitRecord(const std::string& state_dir, const std::string& id, const ExitStatus& status) {
  std::string path = state_dir + "/exit-" + id;
  std::string temporary = path + ".new";
  char line[96];
  int length =
      snprintf(line, sizeof line, "1 %llu %u %u %d\n", static_cast<unsigned long long>(status.finished_at),
               status.code, status.signal, status.oom ? 1 : 0);
  Fd file(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  bool written = file.valid() && write(file.get(), line, static_cast<size_t>(length)) == length;
  if (!written || rename(temporary.c_str(), path.c_str()) != 0) {
    fprintf(stderr, "berth-monitor: write exit record \"%s\": %s\n", path.c_str(), strerror(errno));
  }
}

void RemoveExitRecord(const std::string& state_dir, const std::string& id) {
  unlink((state_dir + "/exit-" + id).c_str());
}

}  // namespace berth
