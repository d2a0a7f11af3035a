#include <isa-l/igzip_lib.h>

#include <algorithm>

#include "inflate.h"

namespace berth {

namespace {

constexpr uint8_t kMagic = 0x1f;  // first byte of a member

Result Damaged(const char* step) { return Result::failure(step, EBADMSG); }

const char* StepOf(int code) {
  switch (code) {
    case ISAL_INCORRECT_CHECKSUM:
      return "gzip: checksum does not match";
    case ISAL_INVALID_WRAPPER:
    case ISAL_UNSUPPORTED_METHOD:
      return "gzip: header is damaged";
    default:
      return "gzip: compressed data is damaged";
  }
}

class GzipInflater : public Inflater {
 public:
  Result Inflate(Bytes* in, uint8_t* out, size_t room, size_t* produced) override {
    *produced = 0;
    for (;;) {
      if (phase_ != Phase::kMember) {
        if (in->size == 0) return Result::success();
        Result result = BeginMember(in);
        if (!result.ok()) return result;
        if (phase_ != Phase::kMember) continue;
      }
      Result result = InflateMember(in, out, room, produced);
      if (!result.ok()) return result;
      if (phase_ != Phase::kMember) continue;
      if (*produced == room || in->size == 0) return Result::success();
    }
  }

  Result Finish() override {
    return phase_ == Phase::kMember ? Damaged("gzip: stream is truncated") : Result::success();
  }

 private:
  enum class Phase { kFirst, kMember, kBetween, kPadding };

  /// Between members: another member, or zero bytes up to the end (as tape blocking leaves them).
  Result BeginMember(Bytes* in) {
    if (phase_ == Phase::kBetween && in->data[0] != kMagic) phase_ = Phase::kPadding;
    if (phase_ == Phase::kPadding) {
      while (in->size > 0 && in->data[0] == 0) {
        in->data++;
        in->size--;
      }
      return in->size == 0 ? Result::success() : Damaged("gzip: garbage after the end of the stream");
    }
    isal_inflate_init(&state_);
    state_.crc_flag = ISAL_GZIP;
    phase_ = Phase::kMember;
    return Result::success();
  }

  Result InflateMember(Bytes* in, uint8_t* out, size_t room, size_t* produced) {
    // ISA-L counts in 32 bits.
    uint32_t given = static_cast<uint32_t>(std::min<size_t>(in->size, 1u << 30));
    uint32_t space = static_cast<uint32_t>(std::min<size_t>(room - *produced, 1u << 30));
    state_.next_in = const_cast<uint8_t*>(in->data);
    state_.avail_in = given;
    state_.next_out = out + *produced;
    state_.avail_out = space;
    int code = isal_inflate(&state_);
    uint32_t used = given - state_.avail_in;
    uint32_t made = space - state_.avail_out;
    in->data += used;
    in->size -= used;
    *produced += made;
    if (code < 0 || code == ISAL_NEED_DICT) return Damaged(StepOf(code));
    if (state_.block_state == ISAL_BLOCK_FINISH) {
      phase_ = Phase::kBetween;
    } else if (used == 0 && made == 0 && given > 0 && space > 0) {
      return Damaged("gzip: compressed data is damaged");  // never spin on a stream that does not move
    }
    return Result::success();
  }

  Phase phase_ = Phase::kFirst;
  inflate_state state_;
};

}  // namespace

std::unique_ptr<Inflater> MakeGzipInflater() { return std::make_unique<GzipInflater>(); }

}  // namespace berth
