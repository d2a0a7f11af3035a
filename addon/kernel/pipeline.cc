#include "pipeline.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "disk_room.h"
#include "fd.h"
#include "sha256.h"
#include "untar.h"

namespace berth {

struct Pipeline::ThreadStart {
  std::shared_ptr<Pipeline> pipeline;
  const Stage* stage;
};

/// The replay last: the others end by the end of the stream only, and the last to end closes the file.
/// The names are seen in /proc/PID/task and take 15 characters at most.
const Pipeline::Stage Pipeline::kStages[] = {{"layer-blob", &Pipeline::KeepBlob},
                                             {"layer-inflate", &Pipeline::InflateStream},
                                             {"layer-hash", &Pipeline::HashTar},
                                             {"layer-untar", &Pipeline::UnpackTar},
                                             {"layer-replay", &Pipeline::ReplayBlob}};

void* Pipeline::RunThread(void* argument) {
  std::unique_ptr<ThreadStart> start(static_cast<ThreadStart*>(argument));
  Pipeline& self = *start->pipeline;
  pthread_setname_np(pthread_self(), start->stage->name);
  Result result = (self.*start->stage->body)();
  if (!result.ok()) self.Fail(result);
  std::lock_guard lock(self.mutex_);
  if (--self.running_ == 0) self.blob_.Close();
  self.changed_.notify_all();
  return nullptr;
}

Result Pipeline::StartThread(const Stage* stage) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, 512 << 10);
  // The daemon's signals belong to its main thread.
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  auto* start = new ThreadStart{shared_from_this(), stage};
  {
    std::lock_guard lock(mutex_);
    running_++;
  }
  pthread_t thread;
  int error = pthread_create(&thread, &attributes, RunThread, start);
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  pthread_attr_destroy(&attributes);
  if (error == 0) return Result::success();
  delete start;
  std::lock_guard lock(mutex_);
  running_--;
  changed_.notify_all();
  return Result::failure("pthread_create", error);
}

Result Pipeline::Start() {
  replayed_ = request_.blob_file.empty();
  for (const Stage& stage : kStages) {
    if (stage.body == &Pipeline::ReplayBlob && replayed_) continue;
    Result result = StartThread(&stage);
    if (!result.ok()) {
      Fail(result);
      return result;
    }
  }
  return Result::success();
}

void Pipeline::Fail(const Result& result) {
  {
    std::lock_guard lock(mutex_);
    if (failure_.ok()) failure_ = result;
    changed_.notify_all();
  }
  input_.Stop();
  ring_.Stop();
}

Result Pipeline::failure() {
  std::lock_guard lock(mutex_);
  return failure_;
}

Result Pipeline::ResumeAt(uint64_t* offset) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return replayed_ || !failure_.ok(); });
  *offset = blob_.replay_size();
  return failure_;
}

Result Pipeline::Write(const uint8_t* data, size_t size, size_t* taken) {
  *taken = 0;
  Result result = failure();
  if (result.ok() && finished_) result = Result::failure("write after finish", EINVAL);
  if (result.ok() && !replayed_) result = Result::failure("write before the blob file was replayed", EINVAL);
  if (!result.ok()) return result;
  while (*taken < size) {
    size_t room = 0;
    uint8_t* free = input_.TryAcquire(&room);
    if (free == nullptr) break;
    size_t part = std::min(room, size - *taken);
    memcpy(free, data + *taken, part);
    input_.Publish(part);
    *taken += part;
  }
  return result;
}

void Pipeline::WhenRoom(std::function<void(Result)> done) {
  // A pipeline that fails stops its rings only when it has said why.
  input_.WhenRoom([this, done = std::move(done)] { done(failure()); });
}

Result Pipeline::Finish(UnpackOutcome* outcome) {
  uint64_t offset = 0;
  Result result = ResumeAt(&offset);
  if (!result.ok()) {
    Join();
    return result;
  }
  finished_ = true;
  input_.Close();
  Join();
  std::lock_guard lock(mutex_);
  if (failure_.ok()) *outcome = outcome_;
  return failure_;
}

void Pipeline::Abort() {
  {
    std::lock_guard lock(mutex_);
    if (running_ == 0) return;
  }
  Fail(Result::failure("unpack layer", ECANCELED));
}

void Pipeline::Join() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return running_ == 0; });
}

void Pipeline::Release() {
  {
    std::lock_guard lock(mutex_);
    if (running_ > 0) return;
  }
  input_.Release();
  ring_.Release();
}

Result Pipeline::ReplayBlob() {
  Result result = blob_.Open(request_.blob_file);
  if (result.ok()) result = blob_.Replay(&input_);
  if (!result.ok() || input_.stopped()) return result;
  std::lock_guard lock(mutex_);
  replayed_ = true;
  changed_.notify_all();
  return result;
}

Result Pipeline::KeepBlob() {
  Sha256 hash;
  Bytes piece;
  uint64_t bytes = 0;
  while (input_.Next(0, &piece)) {
    if (!request_.blob_file.empty()) {
      Result result = blob_.Append(piece);
      if (!result.ok()) return result;
    }
    hash.Update(piece.data, piece.size);
    bytes += piece.size;
  }
  if (input_.stopped()) return Result::success();
  std::lock_guard lock(mutex_);
  outcome_.blob_digest = hash.Digest();
  outcome_.blob_bytes = bytes;
  hashed_blob_ = true;
  changed_.notify_all();
  return Result::success();
}

Result Pipeline::InflateStream() {
  if (!request_.file.name.empty()) return FrameStream();
  std::vector<uint8_t> head;  // until the magic is complete
  std::unique_ptr<Inflater> inflater;
  auto begin = [&]() -> Result {
    bool plain = false;
    inflater = MakeInflater(head.data(), head.size(), &plain);
    {
      std::lock_guard lock(mutex_);
      plain_ = plain;
      foreign_ = plain ? ForeignCompression(head.data(), head.size()) : nullptr;
    }
    return InflatePiece(inflater.get(), Bytes{head.data(), head.size()});
  };
  Bytes piece;
  while (input_.Next(1, &piece)) {
    Result result;
    if (inflater) {
      result = InflatePiece(inflater.get(), piece);
    } else {
      head.insert(head.end(), piece.data, piece.data + piece.size);
      if (head.size() >= kMagicBytes) result = begin();
    }
    if (!result.ok()) return result;
  }
  if (input_.stopped()) return Result::success();
  Result result = inflater ? Result::success() : begin();
  if (result.ok()) result = inflater->Finish();
  if (!result.ok()) return result;
  ring_.Close();
  return Result::success();
}

Result Pipeline::InflatePiece(Inflater* inflater, Bytes in) {
  bool full = false;
  while (in.size > 0 || full) {
    size_t room = 0;
    uint8_t* out = ring_.Acquire(&room);
    if (out == nullptr) return Result::success();  // stopped: who stopped it has said why
    size_t produced = 0;
    Result result = inflater->Inflate(&in, out, room, &produced);
    if (produced > 0) ring_.Publish(produced);
    if (!result.ok()) return result;
    full = produced == room;
    std::lock_guard lock(mutex_);
    outcome_.unpacked_bytes += produced;
    if (outcome_.unpacked_bytes > request_.limits.max_bytes)
      return Result::failure("layer: larger than the limit when inflated", EFBIG);
  }
  return Result::success();
}

/// The header has told the size before the first byte came: more or fewer are not this file.
Result Pipeline::FrameStream() {
  const FramedFile& file = request_.file;
  const char* name = file.name.c_str();
  std::unique_ptr<Inflater> copy = MakeCopyInflater();
  auto put = [&](const std::string& text) {
    return InflatePiece(copy.get(), Bytes{reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  };
  Result result = put(TarFrameHead(file));
  uint64_t left = file.size;
  for (Bytes piece; result.ok() && input_.Next(1, &piece); left -= piece.size) {
    if (piece.size > left)
      return Result::failure("layer: blob is longer than its declared size", EFBIG, name);
    result = InflatePiece(copy.get(), piece);
  }
  if (!result.ok() || input_.stopped()) return result;
  if (left > 0) return Result::failure("layer: blob is shorter than its declared size", EBADMSG, name);
  result = put(TarFrameTail(file));
  if (result.ok()) ring_.Close();
  return result;
}

Result Pipeline::HashTar() {
  Sha256 hash;
  Bytes bytes;
  while (ring_.Next(0, &bytes)) hash.Update(bytes.data, bytes.size);
  std::lock_guard lock(mutex_);
  outcome_.diff_id = hash.Digest();
  hashed_tar_ = true;
  changed_.notify_all();
  return Result::success();
}

namespace {

/// The tar, as long as there is room for it on the file system of `root`: others write there as well.
class RingSource : public TarSource {
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

}  // namespace

Result Pipeline::UnpackTar() {
  const char* directory = request_.directory.c_str();
  Fd root(open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!root.valid()) return Result::last("open layer directory", directory);
  RecordWriter record;
  bool recording = !request_.record_file.empty();
  Result result = recording ? record.Open(request_.record_file) : Result::success();
  if (!result.ok()) return result;
  RingSource source(&ring_, root.get(), directory);
  uint64_t entries = 0;
  // A file whose blob is kept need not be written twice.
  bool kept = !request_.file.name.empty() && !request_.blob_file.empty();
  result = Untar(root.get(), &source, request_.limits, recording ? &record : nullptr, &entries, !kept);
  // A stop looks like the end of the stream: its reason is recorded already and is kept.
  if (ring_.stopped()) return Result::failure("unpack layer", ECANCELED);
  if (!source.failure().ok()) return source.failure();
  if (!result.ok()) {
    std::lock_guard lock(mutex_);
    if (entries == 0 && foreign_ != nullptr && result.error == EBADMSG)
      result = Result::failure(foreign_, EBADMSG);
    else if (plain_ && entries == 0 && strcmp(result.step, kTarBadHeader) == 0)
      result = Result::failure("layer: neither gzip, zstd nor tar", EBADMSG);
    return result;
  }
  if (kept || recording) result = WaitForDigests();
  if (result.ok() && kept) result = blob_.PlaceIn(root.get(), request_.file);
  if (result.ok() && recording) result = FinishRecord(&record, entries);
  if (!result.ok()) return result;
  if (syncfs(root.get()) != 0) return Result::last("syncfs", directory);
  std::lock_guard lock(mutex_);
  outcome_.entries = entries;
  outcome_.lost = record.lost();
  return Result::success();
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
