// One layer on its way to disk. Three threads: one hashes and inflates the compressed stream, one hashes the
// tar (the diff ID), one unpacks it. They end by themselves; the object may be dropped at any time.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "pipeline_ring.h"
#include "result.h"
#include "tar.h"

namespace berth {

struct UnpackOutcome {
  std::string blob_digest;
  std::string diff_id;
  uint64_t blob_bytes = 0;
  uint64_t unpacked_bytes = 0;  // of the tar
  uint64_t entries = 0;
};

class Pipeline : public std::enable_shared_from_this<Pipeline> {
 public:
  Pipeline(std::string directory, TarLimits limits) : directory_(std::move(directory)), limits_(limits) {}

  /// Starts the threads; they keep the object alive.
  Result Start();
  /// Takes a copy of the next piece; `*room` says whether to call WaitForRoom before the next. Never blocks.
  /// Fails with what went wrong on a thread.
  Result Write(const uint8_t* data, size_t size, bool* room);
  Result WaitForRoom();
  /// No more input: blocks until all is on disk and synced (syncfs).
  Result Finish(UnpackOutcome* outcome);
  /// Makes the threads end soon; every other call then fails with ECANCELED. Does not block.
  void Abort();
  /// Blocks until the threads have ended.
  void Join();

 private:
  using Body = Result (Pipeline::*)();
  struct ThreadStart;

  static void* RunThread(void* start);
  Result StartThread(Body body);
  void Fail(const Result& result);
  Result failure();

  Result InflateStream();
  Result InflatePiece(Inflater* inflater, Bytes in);
  Result HashTar();
  Result UnpackTar();

  const std::string directory_;
  const TarLimits limits_;
  InputQueue input_;
  SlabRing ring_;
  std::atomic<bool> finished_ = false;
  uint8_t* slab_ = nullptr;  // being filled, by the inflating thread only
  size_t slab_used_ = 0;

  std::mutex mutex_;
  std::condition_variable ended_;
  int running_ = 0;
  bool plain_ = false;
  Result failure_;
  UnpackOutcome outcome_;
};

}  // namespace berth
