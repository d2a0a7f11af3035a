// The tar record: what a layer's tar holds beside the contents of its files (headers, PAX, padding, what
// follows the end), so that record and directory together give the very same tar again (tar_replay.h).
//
// The file begins with a header of kRecordHeaderBytes that is written last: until then it is zero, and the
// record not complete. One zstd frame with a checksum follows. In it, frames in the order of the tar, each
// beginning with a LEB128 number, (size << 1 | kind):
//
//   kind 0, literal   `size` bytes of the tar
//   kind 1, content   the data of the entry whose header came last is here in the tar: `size` bytes, of which
//                     the CRC-32 (gzip's) follows in 4 bytes, little endian
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "fd.h"
#include "inflate.h"
#include "result.h"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace berth {

/// What a record says of its layer as a whole.
struct RecordSummary {
  std::string diff_id;
  uint64_t tar_bytes = 0;
  std::string blob_digest;  // sha256 of the compressed stream it came from
  uint64_t blob_bytes = 0;
  uint64_t entries = 0;
  /// The first entry whose data was replaced by a later one of the same name, cut to 255 bytes: then the tar
  /// cannot be made again. "" when there is none.
  std::string lost;
};

inline constexpr size_t kRecordHeaderBytes = 512;

/// What a tar reader tells of the bytes that it goes through, in their order.
class TarRecorder {
 public:
  virtual ~TarRecorder() = default;
  virtual void Literal(Bytes bytes) = 0;
  /// Of an entry's data, when it was handed out to be written to a file.
  virtual void Content(Bytes bytes) = 0;
  /// What the entry at `path` put on disk is being replaced by a later entry.
  virtual void Lost(const std::string& path) = 0;
  /// The first failure to keep what was told.
  virtual const Result& result() const = 0;
};

class RecordWriter : public TarRecorder {
 public:
  RecordWriter();
  ~RecordWriter() override;
  RecordWriter(const RecordWriter&) = delete;
  RecordWriter& operator=(const RecordWriter&) = delete;

  /// Makes the file (0600), which must not exist.
  Result Open(const std::string& path);
  void Literal(Bytes bytes) override;
  void Content(Bytes bytes) override;
  void Lost(const std::string& path) override;
  const Result& result() const override { return result_; }
  const std::string& lost() const { return lost_; }
  /// Completes the file. It is not synced. `summary.lost` is what Lost was told.
  Result Finish(RecordSummary summary);
  /// Syncs the complete file.
  Result Sync();

 private:
  void EndLiteral();
  void EndContent();
  void PutNumber(uint64_t number);
  void Put(const void* data, size_t size);
  void Compress(bool end);
  void WriteOut(const void* data, size_t size);

  std::string path_;
  Fd fd_;
  ZSTD_CCtx_s* stream_ = nullptr;
  std::string literal_;  // of the frame being gathered
  std::string frames_;   // not yet compressed
  std::unique_ptr<uint8_t[]> out_;
  uint64_t content_ = 0;
  uint32_t crc_ = 0;
  std::string lost_;
  Result result_;
};

struct RecordFrame {
  bool content = false;
  uint64_t size = 0;
  uint32_t crc = 0;
};

/// Reads records, also forged ones. Every failure of the record itself has a step that begins with
/// "layer record:".
class RecordReader {
 public:
  RecordReader() = default;
  ~RecordReader();
  RecordReader(const RecordReader&) = delete;
  RecordReader& operator=(const RecordReader&) = delete;

  Result Open(const std::string& path, RecordSummary* summary);
  /// The next frame, whose literal bytes were all read; `*more` is false at the end of a complete record.
  Result Next(RecordFrame* frame, bool* more);
  /// A piece of the literal frame, valid until the next call: at least one byte, at most `limit`.
  Result Literal(uint64_t limit, Bytes* bytes);

 private:
  Result Refill();
  Result GetByte(uint8_t* byte);
  Result Damaged() const;

  std::string path_;
  Fd fd_;
  ZSTD_DCtx_s* stream_ = nullptr;
  std::unique_ptr<uint8_t[]> in_, out_;
  size_t in_at_ = 0, in_end_ = 0;
  size_t at_ = 0, end_ = 0;
  bool flushing_ = false;  // the stream may have more output without more input
  bool frame_ended_ = false;
  bool ended_ = false;
};

}  // namespace berth
