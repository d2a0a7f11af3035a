// One layer on its way to disk. A thread each for the blob (its digest, and the file that keeps it), for
// inflating (or framing, when the blob is no archive but a file), for hashing the tar (the diff ID), and for
// unpacking it. They end by themselves; the object may be dropped at any time.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "pipeline_blob.h"
#include "pipeline_ring.h"
#include "result.h"
#include "tar.h"
#include "tar_frame.h"
#include "tar_record.h"

namespace berth {

/// What a layer becomes on disk: a directory with its tree, or one file, an EROFS image (erofs_format.h).
enum class LayerForm { kDirectory, kErofs };

struct UnpackRequest {
  std::string path;  // a directory that exists and is empty, or an image that is to be made
  TarLimits limits;
  std::string blob_file;    // what it holds is unpacked first, what comes later appended; "" for none
  std::string record_file;  // gets the tar record (tar_record.h); "" for none
  FramedFile file;          // with a name: the stream is this file's bytes, whatever they look like
  LayerForm form = LayerForm::kDirectory;
};

struct UnpackOutcome {
  std::string blob_digest;
  std::string diff_id;
  uint64_t blob_bytes = 0;
  uint64_t unpacked_bytes = 0;  // of the tar
  uint64_t entries = 0;
  std::string lost;  // see TarRecorder::Lost
};

class Pipeline : public std::enable_shared_from_this<Pipeline> {
 public:
  explicit Pipeline(UnpackRequest request) : request_(std::move(request)) {}

  /// Starts the threads; they keep the object alive.
  Result Start();
  /// Blocks until the blob file has been replayed; its size is what the stream goes on with. 0 without one.
  Result ResumeAt(uint64_t* offset);
  /// Takes a copy of as much as there is room for and says how much; never blocks. When that is not all, call
  /// WhenRoom before the next. Fails with what went wrong on a thread.
  Result Write(const uint8_t* data, size_t size, size_t* taken);
  /// Calls `done` once, on some thread, when Write can take more; with what went wrong when it never will.
  void WhenRoom(std::function<void(Result)> done);
  /// No more input: blocks until all is on disk and synced (a directory with syncfs, an image by itself).
  Result Finish(UnpackOutcome* outcome);
  /// Makes the threads end soon; every other call then fails with ECANCELED. Does not block.
  void Abort();
  /// Blocks until the threads have ended.
  void Join();
  /// Gives the buffers back, when the threads have ended, from the thread that writes: whoever holds the
  /// object may do so for long.
  void Release();

 private:
  /// What one thread does.
  struct Stage {
    const char* name;
    Result (Pipeline::*body)();
  };
  struct ThreadStart;
  class RingSource;
  static const Stage kStages[];

  // Of the compressed stream, and of the tar.
  static constexpr size_t kInputBytes = 1 << 20, kInputSpan = 64 << 10;
  static constexpr size_t kTarBytes = 1536 << 10, kTarSpan = 128 << 10;

  static void* RunThread(void* start);
  Result StartThread(const Stage* stage);
  void Fail(const Result& result);
  Result failure();

  Result ReplayBlob();
  Result KeepBlob();
  Result InflateStream();
  Result InflatePiece(Inflater* inflater, Bytes in);
  Result FrameStream();
  Result HashTar();
  Result UnpackTar();
  Result UnpackDirectory(RecordWriter* record, uint64_t* entries);
  Result UnpackImage(RecordWriter* record, uint64_t* entries);
  Result UntarFailure(const RingSource& source, const Result& result, uint64_t entries);
  std::string DiffId();
  Result WaitForDigests();
  Result FinishRecord(RecordWriter* record, uint64_t entries);

  const UnpackRequest request_;
  ByteRing input_{kInputBytes, kInputSpan};
  ByteRing ring_{kTarBytes, kTarSpan};
  BlobFile blob_;
  std::atomic<bool> finished_ = false;
  std::atomic<bool> replayed_ = false;

  std::mutex mutex_;
  std::condition_variable changed_;
  int running_ = 0;
  bool plain_ = false;
  const char* foreign_ = nullptr;  // see ForeignCompression
  bool hashed_blob_ = false;
  bool hashed_tar_ = false;
  Result failure_;
  UnpackOutcome outcome_;
};

}  // namespace berth
