#include "connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include "monitor.h"
#include "process.h"

namespace berth {

Connection::Connection(Monitor& monitor, Fd socket) : monitor_(monitor), socket_(std::move(socket)) {
  monitor_.loop().Add(socket_.get(), EPOLLIN | EPOLLRDHUP, this);
}

Connection::~Connection() = default;

void Connection::OnReady(uint32_t events) {
  if ((events & EPOLLOUT) != 0) Flush();
  if (!dead_ && (events & (EPOLLIN | EPOLLRDHUP)) != 0) ReadFrames();
  if (!dead_ && (events & (EPOLLHUP | EPOLLERR)) != 0) Die();
}

void Connection::ReadFrames() {
  static char buffer[64 * 1024];
  while (!dead_ && !hold_input_ && !read_closed_) {
    ssize_t size = recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) break;
    if (size <= 0) {
      PeerClosed();
      return;
    }
    in_.append(buffer, static_cast<size_t>(size));
    TakeFrames();
  }
}

void Connection::TakeFrames() {
  size_t at = 0;
  while (!dead_ && in_.size() - at >= kFrameHeaderBytes) {
    uint32_t length, id;
    uint16_t type;
    memcpy(&length, in_.data() + at, sizeof length);
    memcpy(&type, in_.data() + at + 4, sizeof type);
    memcpy(&id, in_.data() + at + 8, sizeof id);
    if (length > kFramePayloadMax) return Die();
    if (in_.size() - at < kFrameHeaderBytes + length) break;
    Frame frame{static_cast<FrameType>(type), id,
                std::string_view(in_).substr(at + kFrameHeaderBytes, length)};
    if (is_stream_) {
      HandleStreamFrame(frame);
    } else {
      monitor_.Handle(*this, frame);
    }
    at += kFrameHeaderBytes + length;
  }
  in_.erase(0, at);
  if (in_.empty() && in_.capacity() > 64 * 1024) std::string().swap(in_);
}

void Connection::HandleStreamFrame(const Frame& frame) {
  if (process_ == nullptr) return;
  FieldReader fields(frame.payload);
  switch (frame.type) {
    case FrameType::kStdin:
      if (with_stdin_) process_->WriteStdin(frame.payload, this);
      return;
    case FrameType::kStdinClose:
      if (with_stdin_) process_->StdinEnded();
      return;
    case FrameType::kWindow: {
      uint16_t rows = fields.U16(), columns = fields.U16();
      if (fields.ok()) process_->Resize(rows, columns);
      return;
    }
    default: Die();
  }
}

void Connection::BecomeStream(Process* process, bool with_stdin) {
  is_stream_ = true;
  process_ = process;
  with_stdin_ = with_stdin;
}

void Connection::Send(FrameWriter& frame) {
  if (dead_) return;
  out_.append(frame.Bytes());
  Flush();
}

void Connection::SendOutput(FrameType type, std::string_view data) {
  FrameWriter header(type, 0);
  std::string bytes = header.Bytes();
  uint32_t length = static_cast<uint32_t>(data.size());
  memcpy(bytes.data(), &length, sizeof length);
  if (dead_) return;
  out_.append(bytes).append(data);
  Flush();
}

void Connection::SendDone(uint32_t id) {
  FrameWriter done(FrameType::kDone, id);
  Send(done);
}

void Connection::SendFailed(uint32_t id, uint32_t step_index, const Result& result) {
  const char* name = strerrorname_np(result.error);
  FrameWriter failed(FrameType::kFailed, id);
  failed.U32(step_index).Str(name != nullptr ? name : "EIO").Str(result.step).Str(result.path);
  Send(failed);
}

void Connection::FinishSoon() {
  finishing_ = true;
  Flush();
}

void Connection::Flush() {
  while (out_sent_ < out_.size()) {
    ssize_t size =
        send(socket_.get(), out_.data() + out_sent_, out_.size() - out_sent_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) break;
    if (size < 0) return Die();
    out_sent_ += static_cast<size_t>(size);
  }
  if (out_sent_ == out_.size()) {
    out_sent_ = 0;
    out_.clear();
    if (out_.capacity() > 64 * 1024) std::string().swap(out_);
    if (finishing_) return Die();
  } else if (out_sent_ > kOutputHigh) {
    out_.erase(0, out_sent_);
    out_sent_ = 0;
  }
  UpdateInterest();
  if (process_ != nullptr && out_.size() - out_sent_ < kOutputLow) process_->ReaderCaughtUp();
}

void Connection::HoldInput(bool hold) {
  if (hold_input_ == hold) return;
  hold_input_ = hold;
  UpdateInterest();
}

void Connection::UpdateInterest() {
  uint32_t events = 0;
  if (!hold_input_ && !read_closed_) events |= EPOLLIN | EPOLLRDHUP;
  if (!out_.empty()) events |= EPOLLOUT;
  monitor_.loop().Change(socket_.get(), events, this);
}

void Connection::PeerClosed() {
  // The half-closed connection of an exec stays for the last frame: its processes are killed first.
  if (is_stream_ && process_ != nullptr && process_->PeerClosed(this)) {
    read_closed_ = true;
    UpdateInterest();
    return;
  }
  Die();
}

void Connection::Die() {
  if (dead_) return;
  dead_ = true;
  if (process_ != nullptr) process_->ConnectionLost(this);
  process_ = nullptr;
  monitor_.loop().Remove(socket_.get());
  socket_.reset();
  monitor_.Drop(this);
}

}  // namespace berth
