// Frames between daemon and monitor: docs/monitor-protocol.md, mirrored by src/monitor/protocol.ts.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace berth {

constexpr uint16_t kProtocolVersion = 3;
constexpr uint32_t kFrameHeaderBytes = 12;
constexpr uint32_t kFramePayloadMax = 1 << 20;

enum class FrameType : uint16_t {
  kHello = 1,
  kPrepare = 2,
  kStart = 3,
  kForget = 4,
  kResize = 5,
  kReopenLog = 6,
  kShutdown = 7,
  kExec = 8,
  kAttach = 9,
  kStdin = 10,
  kStdinClose = 11,
  kWindow = 12,
  kRun = 13,
  kProceed = 14,
  kWelcome = 64,
  kDone = 65,
  kFailed = 66,
  kExited = 67,
  kStreamStarted = 68,
  kStdout = 69,
  kStderr = 70,
  kStreamExited = 71,
};

constexpr uint8_t kFlagTty = 1;
constexpr uint8_t kFlagStdin = 2;
constexpr uint8_t kFlagStdinOnce = 4;
constexpr uint8_t kFlagRuntime = 8;
constexpr uint8_t kFlagDetached = 16;

/// One received frame; the payload lies in the connection's buffer.
struct Frame {
  FrameType type;
  uint32_t id;
  std::string_view payload;
};

/// Reads payload fields in order. After a field that is not wholly there, ok() is false and fields are empty.
class FieldReader {
 public:
  explicit FieldReader(std::string_view data) : data_(data) {}

  bool ok() const { return ok_; }
  /// Nothing is left: fields that later versions add may be missing.
  bool at_end() const { return data_.empty(); }
  uint8_t U8() { return Integer<uint8_t>(); }
  uint16_t U16() { return Integer<uint16_t>(); }
  uint32_t U32() { return Integer<uint32_t>(); }
  std::string Str() { return std::string(Take(U16())); }
  std::string_view Blob() { return Take(U32()); }

 private:
  template <typename T>
  T Integer() {
    T value = 0;
    std::string_view bytes = Take(sizeof(T));
    if (ok_) memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  std::string_view Take(size_t length) {
    if (!ok_ || length > data_.size()) {
      ok_ = false;
      return {};
    }
    std::string_view taken = data_.substr(0, length);
    data_.remove_prefix(length);
    return taken;
  }

  std::string_view data_;
  bool ok_ = true;
};

/// Builds one frame.
class FrameWriter {
 public:
  FrameWriter(FrameType type, uint32_t id) { U32(0).U16(static_cast<uint16_t>(type)).U16(0).U32(id); }
  FrameWriter& U8(uint8_t value) { return Integer(value); }
  FrameWriter& U16(uint16_t value) { return Integer(value); }
  FrameWriter& U32(uint32_t value) { return Integer(value); }
  FrameWriter& U64(uint64_t value) { return Integer(value); }
  FrameWriter& Str(std::string_view text) {
    U16(static_cast<uint16_t>(text.size()));
    bytes_.append(text);
    return *this;
  }
  FrameWriter& Blob(std::string_view bytes) {
    U32(static_cast<uint32_t>(bytes.size()));
    bytes_.append(bytes);
    return *this;
  }
  /// The finished frame.
  const std::string& Bytes() {
    uint32_t length = static_cast<uint32_t>(bytes_.size() - kFrameHeaderBytes);
    memcpy(bytes_.data(), &length, sizeof length);
    return bytes_;
  }

 private:
  template <typename T>
  FrameWriter& Integer(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }

  std::string bytes_;
};

}  // namespace berth
