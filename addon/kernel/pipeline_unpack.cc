// The stage of the pipeline that makes the tree, and what completes a layer.

#include <fcntl.h>
#include <unistd.h>

#include "disk_room.h"
#include "erofs_image.h"
#include "fd.h"
#include "pipeline.h"
#include "untar.h"

namespace berth {

/// The tar, as long as there is room for it on the file system of `root`: others write there as well.
class Pipeline::RingSource : public TarSource {
 public:
  RingSource(ByteRing* ring, int root, const char* path) : ring_(ring), root_(root), path_(path) {}
  bool Next(Bytes* piece) override { return KeepRoom() && ring_->Next(1, piece); }
  Result failure() const { return failure_; }

 private:
  /// It is looked at once in half a megabyte of tar.
  static constexpr unsigned kPieces = 4;

  bool KeepRoom() {
    if (pieces_++ % kPieces == 0) failure_ = RequireDiskRoom(root_, path_);
    return failure_.ok();
  }

  ByteRing* ring_;
  const int root_;
  const char* const path_;
  unsigned pieces_ = 0;
  Result failure_;
};

Result Pipeline::UnpackTar() {
  RecordWriter record;
  bool recording = !request_.record_file.empty();
  Result result = recording ? record.Open(request_.record_file) : Result::success();
  if (!result.ok()) return result;
  uint64_t entries = 0;
  bool image = request_.form == LayerForm::kErofs;
  RecordWriter* recorder = recording ? &record : nullptr;
  result = image ? UnpackImage(recorder, &entries) : UnpackDirectory(recorder, &entries);
  if (!result.ok()) return result;
  std::lock_guard lock(mutex_);
  outcome_.entries = entries;
  outcome_.lost = record.lost();
  return Result::success();
}

/// Why the archive was not read to its end, if it was not.
Result Pipeline::UntarFailure(const RingSource& source, const Result& result, uint64_t entries) {
  // A stop looks like the end of the stream: its reason is recorded already and is kept.
  if (ring_.stopped()) return Result::failure("unpack layer", ECANCELED);
  if (!source.failure().ok()) return source.failure();
  std::lock_guard lock(mutex_);
  if (entries == 0 && foreign_ != nullptr && result.error == EBADMSG)
    return Result::failure(foreign_, EBADMSG);
  if (plain_ && entries == 0 && strcmp(result.step, kTarBadHeader) == 0)
    return Result::failure("layer: neither gzip, zstd nor tar", EBADMSG);
  return result;
}

Result Pipeline::UnpackDirectory(RecordWriter* record, uint64_t* entries) {
  const char* directory = request_.path.c_str();
  Fd root(open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!root.valid()) return Result::last("open layer directory", directory);
  RingSource source(&ring_, root.get(), directory);
  // A file whose blob is kept need not be written twice.
  bool kept = !request_.file.name.empty() && !request_.blob_file.empty();
  Result result = Untar(root.get(), &source, request_.limits, record, entries, !kept);
  result = UntarFailure(source, result, *entries);
  if (result.ok() && (kept || record != nullptr)) result = WaitForDigests();
  if (result.ok() && kept) result = blob_.PlaceIn(root.get(), request_.file);
  if (result.ok() && record != nullptr) result = FinishRecord(record, *entries);
  if (!result.ok()) return result;
  return syncfs(root.get()) == 0 ? Result::success() : Result::last("syncfs", directory);
}

Result Pipeline::UnpackImage(RecordWriter* record, uint64_t* entries) {
  ErofsImage image;
  Result result = image.Create(request_.path);
  if (!result.ok()) return result;
  RingSource source(&ring_, image.fd(), request_.path.c_str());
  ErofsSuper super{};
  result = UntarImage(&image, &source, request_.limits, record, entries, &super);
  result = UntarFailure(source, result, *entries);
  if (result.ok()) result = WaitForDigests();
  if (result.ok() && record != nullptr) result = FinishRecord(record, *entries);
  if (result.ok()) result = image.Complete(super, DiffId());
  return result.ok() && record != nullptr ? record->Sync() : result;
}

std::string Pipeline::DiffId() {
  std::lock_guard lock(mutex_);
  return outcome_.diff_id;
}

Result Pipeline::WaitForDigests() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return (hashed_blob_ && hashed_tar_) || !failure_.ok(); });
  return failure_;
}

/// The record says of which layer it is: the digests must be there.
Result Pipeline::FinishRecord(RecordWriter* record, uint64_t entries) {
  std::unique_lock lock(mutex_);
  RecordSummary summary{outcome_.diff_id, outcome_.unpacked_bytes, outcome_.blob_digest, outcome_.blob_bytes,
                        entries, ""};
  lock.unlock();
  return record->Finish(summary);
}

}  // namespace berth
