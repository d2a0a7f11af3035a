// One connection of the daemon: a control connection, or the stream of one exec or attach.
#pragma once

#include <string>
#include <string_view>

#include "../kernel/result.h"
#include "loop.h"
#include "protocol.h"

namespace berth {

class Monitor;
class Process;

/// Output waiting for a slow reader above which the process is not read any more, and below which it is
/// again.
constexpr size_t kOutputHigh = 256 * 1024;
constexpr size_t kOutputLow = 64 * 1024;

class Connection : public Watch {
 public:
  Connection(Monitor& monitor, Fd socket);
  ~Connection() override;

  void OnReady(uint32_t events) override;

  void Send(FrameWriter& frame);
  /// A frame whose payload is output of the process.
  void SendOutput(FrameType type, std::string_view data);
  void SendDone(uint32_t id);
  void SendFailed(uint32_t id, uint32_t step_index, const Result& result);
  /// Closes once everything is sent.
  void FinishSoon();

  bool with_stdin() const { return with_stdin_; }
  bool is_stream() const { return is_stream_; }
  void BecomeStream(Process* process, bool with_stdin);
  /// The process is gone: nothing of it may be called any more.
  void ForgetProcess() { process_ = nullptr; }
  bool congested() const { return out_.size() - out_sent_ > kOutputHigh; }
  /// Stops reading frames while the process cannot take its input.
  void HoldInput(bool hold);
  bool dead() const { return dead_; }

 private:
  void ReadFrames();
  void TakeFrames();
  void HandleStreamFrame(const Frame& frame);
  void Flush();
  void UpdateInterest();
  void PeerClosed();
  void Die();

  Monitor& monitor_;
  Fd socket_;
  std::string in_;
  std::string out_;
  size_t out_sent_ = 0;
  Process* process_ = nullptr;
  bool is_stream_ = false;
  bool with_stdin_ = false;
  bool hold_input_ = false;
  bool finishing_ = false;
  bool read_closed_ = false;
  bool dead_ = false;
};

}  // namespace berth
