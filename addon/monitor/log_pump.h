// Container logs in the CRI's format: "<RFC 3339 time, nanoseconds> <stdout|stderr> <P|F> <text>\n".
// P marks a piece of a line that goes on, F the end of a line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "../kernel/fd.h"
#include "../kernel/result.h"

namespace berth {

/// The longest text of one record, as the peers have it.
constexpr size_t kLogLineMax = 16 * 1024;

class LogPump {
 public:
  /// Opens (makes) the log file; an empty path means no log.
  Result Open(const std::string& path);
  /// Opens the path again after a rotation; on failure the old file stays in use.
  Result Reopen();
  /// Takes output of one stream; unfinished lines wait for their end.
  void Write(bool is_stderr, std::string_view data);
  /// Writes out unfinished lines.
  void Flush();
  void Close();

 private:
  void Record(bool is_stderr, bool full, std::string_view text);
  void Stamp();
  void WriteOut();

  std::string path_;
  Fd file_;
  std::string partial_[2];
  std::string out_;
  char stamp_[40] = "";
  size_t stamp_length_ = 0;
  int64_t stamp_second_ = -1;
  bool torn_ = false;  // the last write ended within a record
};

}  // namespace berth
