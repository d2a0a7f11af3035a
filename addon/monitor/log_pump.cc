#include "log_pump.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

namespace berth {

Result LogPump::Open(const std::string& path) {
  path_ = path;
  return path.empty() ? Result::success() : Reopen();
}

Result LogPump::Reopen() {
  if (path_.empty()) return Result::success();
  Fd file(open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640));
  if (!file.valid()) return Result::last("open log", path_.c_str());
  file_ = std::move(file);
  torn_ = false;
  return Result::success();
}

void LogPump::Stamp() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (now.tv_sec != stamp_second_) {
    tm parts;
    gmtime_r(&now.tv_sec, &parts);
    strftime(stamp_, sizeof stamp_, "%Y-%m-%dT%H:%M:%S.", &parts);
    stamp_second_ = now.tv_sec;
  }
  stamp_length_ = 20 + static_cast<size_t>(snprintf(stamp_ + 20, sizeof stamp_ - 20, "%09ldZ", now.tv_nsec));
}

void LogPump::Record(bool is_stderr, bool full, std::string_view text) {
  out_.append(stamp_, stamp_length_);
  out_.append(is_stderr ? " stderr " : " stdout ");
  out_.append(full ? "F " : "P ");
  out_.append(text);
  out_.push_back('\n');
}

void LogPump::Write(bool is_stderr, std::string_view data) {
  if (!file_.valid()) return;
  Stamp();
  std::string& partial = partial_[is_stderr ? 1 : 0];
  while (!data.empty()) {
    size_t room = kLogLineMax - partial.size();
    size_t newline = data.substr(0, room + 1).find('\n');
    if (newline == std::string_view::npos && data.size() < room) {
      partial.append(data);
      break;
    }
    bool full = newline != std::string_view::npos;
    std::string_view piece = data.substr(0, full ? newline : room);
    if (partial.empty()) {
      Record(is_stderr, full, piece);
    } else {
      partial.append(piece);
      Record(is_stderr, full, partial);
      partial.clear();
    }
    data.remove_prefix(piece.size() + (full ? 1 : 0));
  }
  WriteOut();
}

void LogPump::Flush() {
  if (!file_.valid()) return;
  Stamp();
  for (int stream = 0; stream < 2; stream++) {
    if (!partial_[stream].empty()) Record(stream == 1, true, partial_[stream]);
    std::string().swap(partial_[stream]);
  }
  WriteOut();
}

void LogPump::Close() {
  Flush();
  file_.reset();
}

void LogPump::WriteOut() {
  // What a full disk cut short stays a line of its own: the next record must not be glued to it.
  if (torn_) out_.insert(0, 1, '\n');
  std::string_view rest = out_;
  while (!rest.empty()) {
    ssize_t written = write(file_.get(), rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    // A full disk costs log lines, never the container: its output must not block on its log.
    if (written <= 0) break;
    torn_ = rest[static_cast<size_t>(written) - 1] != '\n';
    rest.remove_prefix(static_cast<size_t>(written));
  }
  out_.clear();
  if (out_.capacity() > 4 * kLogLineMax) out_.shrink_to_fit();
}

}  // namespace berth
