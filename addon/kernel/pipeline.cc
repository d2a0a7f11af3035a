#include "pipeline.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "fd.h"
#include "sha256.h"
#include "untar.h"

namespace berth {

struct Pipeline::ThreadStart {
  std::shared_ptr<Pipeline> pipeline;
  Body body;
};

void* Pipeline::RunThread(void* argument) {
  std::unique_ptr<ThreadStart> start(static_cast<ThreadStart*>(argument));
  Pipeline& self = *start->pipeline;
  Result result = (self.*start->body)();
  if (!result.ok()) self.Fail(result);
  std::lock_guard lock(self.mutex_);
  self.running_--;
  self.ended_.notify_all();
  return nullptr;
}

Result Pipeline::StartThread(Body body) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, 512 << 10);
  // The daemon's signals belong to its main thread.
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  auto* start = new ThreadStart{shared_from_this(), body};
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
  return Result::failure("pthread_create", error);
}

Result Pipeline::Start() {
  for (Body body : {&Pipeline::InflateStream, &Pipeline::HashTar, &Pipeline::UnpackTar}) {
    Result result = StartThread(body);
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
  }
  input_.Stop();
  ring_.Stop();
}

Result Pipeline::failure() {
  std::lock_guard lock(mutex_);
  return failure_;
}

Result Pipeline::Write(const uint8_t* data, size_t size, bool* room) {
  Result result = failure();
  if (result.ok() && finished_) result = Result::failure("write after finish", EINVAL);
  if (result.ok()) *room = input_.Push(data, size);
  return result;
}

Result Pipeline::WaitForRoom() {
  input_.WaitForRoom();
  return failure();
}

Result Pipeline::Finish(UnpackOutcome* outcome) {
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
  ended_.wait(lock, [this] { return running_ == 0; });
}

Result Pipeline::InflateStream() {
  Sha256 hash;
  std::vector<uint8_t> head;  // until the magic is complete
  std::vector<uint8_t> piece;
  std::unique_ptr<Inflater> inflater;
  uint64_t bytes = 0;
  auto begin = [&]() -> Result {
    bool plain = false;
    inflater = MakeInflater(head.data(), head.size(), &plain);
    {
      std::lock_guard lock(mutex_);
      plain_ = plain;
    }
    return InflatePiece(inflater.get(), Bytes{head.data(), head.size()});
  };
  while (input_.Pop(&piece)) {
    hash.Update(piece.data(), piece.size());
    bytes += piece.size();
    Result result;
    if (inflater) {
      result = InflatePiece(inflater.get(), Bytes{piece.data(), piece.size()});
    } else {
      head.insert(head.end(), piece.begin(), piece.end());
      if (head.size() >= kMagicBytes) result = begin();
    }
    if (!result.ok()) return result;
  }
  if (ring_.stopped()) return Result::success();
  Result result = inflater ? Result::success() : begin();
  if (result.ok()) result = inflater->Finish();
  if (!result.ok()) return result;
  {
    std::lock_guard lock(mutex_);
    outcome_.blob_digest = hash.Digest();
    outcome_.blob_bytes = bytes;
  }
  if (slab_used_ > 0) ring_.Publish(slab_used_);
  ring_.Close();
  return Result::success();
}

Result Pipeline::InflatePiece(Inflater* inflater, Bytes in) {
  bool full = false;
  while (in.size > 0 || full) {
    if (slab_ == nullptr) {
      slab_ = ring_.Acquire();
      slab_used_ = 0;
      if (slab_ == nullptr) return Result::success();  // stopped: who stopped it has said why
    }
    size_t produced = 0;
    Result result = inflater->Inflate(&in, slab_ + slab_used_, SlabRing::kSlabBytes - slab_used_, &produced);
    slab_used_ += produced;
    outcome_.unpacked_bytes += produced;
    if (!result.ok()) return result;
    if (outcome_.unpacked_bytes > limits_.max_bytes)
      return Result::failure("layer: larger than the limit when inflated", EFBIG);
    full = slab_used_ == SlabRing::kSlabBytes;
    if (full) {
      ring_.Publish(slab_used_);
      slab_ = nullptr;
      slab_used_ = 0;
    }
  }
  return Result::success();
}

Result Pipeline::HashTar() {
  Sha256 hash;
  Bytes slab;
  while (ring_.Next(0, &slab)) hash.Update(slab.data, slab.size);
  std::lock_guard lock(mutex_);
  outcome_.diff_id = hash.Digest();
  return Result::success();
}

namespace {

class RingSource : public TarSource {
 public:
  explicit RingSource(SlabRing* ring) : ring_(ring) {}
  bool Next(Bytes* piece) override { return ring_->Next(1, piece); }

 private:
  SlabRing* ring_;
};

}  // namespace

Result Pipeline::UnpackTar() {
  Fd root(open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!root.valid()) return Result::last("open layer directory", directory_.c_str());
  RingSource source(&ring_);
  uint64_t entries = 0;
  Result result = Untar(root.get(), &source, limits_, &entries);
  // A stop looks like the end of the stream: its reason is recorded already and is kept.
  if (ring_.stopped()) return Result::failure("unpack layer", ECANCELED);
  if (!result.ok()) {
    std::lock_guard lock(mutex_);
    if (plain_ && entries == 0 && strcmp(result.step, kTarBadHeader) == 0)
      result = Result::failure("layer: neither gzip, zstd nor tar", EBADMSG);
    return result;
  }
  // What comes after the archive's end belongs to the digests and to nothing else.
  Bytes rest;
  while (source.Next(&rest)) {
  }
  if (ring_.stopped()) return Result::failure("unpack layer", ECANCELED);
  if (syncfs(root.get()) != 0) return Result::last("syncfs", directory_.c_str());
  std::lock_guard lock(mutex_);
  outcome_.entries = entries;
  return Result::success();
}

}  // namespace berth
