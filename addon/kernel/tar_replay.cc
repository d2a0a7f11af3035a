#include "tar_replay.h"

#include <isa-l/crc.h>
#include <unistd.h>

#include <algorithm>
#include <limits>

#include "erofs_check.h"
#include "erofs_mount.h"

namespace berth {

namespace {

/// What the layer's file system cannot read is damage of the layer, wherever it shows. ENOTSUP is for layers
/// that cannot be made again.
Result AsDamage(Result result) {
  if (!IsUnreadable(result.error) || strncmp(result.step, "layer ", 6) == 0) return result;
  return Result::failure("layer record: what is on disk cannot be read", EBADMSG, result.path);
}

}  // namespace

LayerReplay::LayerReplay(std::string layer, std::string record, ReplayMode mode)
    : layer_(std::move(layer)), record_path_(std::move(record)), mode_(mode) {}

Result LayerReplay::Damaged() const {
  return Result::failure("layer record: it is damaged", EBADMSG, record_path_.c_str());
}

Result LayerReplay::Open() {
  Result result = record_.Open(record_path_, &summary_);
  if (!result.ok()) return result;
  result = OpenRoot();
  if (!result.ok()) return result;
  if (mode_ == ReplayMode::kRecreate && !summary_.lost.empty())
    return Result::failure("layer record: the layer replaces an entry of its own", ENOTSUP,
                           summary_.lost.c_str());
  checker_ = std::make_unique<TreeChecker>(root_.get(), mode_ == ReplayMode::kVerify, &damage_);
  constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();
  // The record's size bounds the entries, made_ the bytes.
  reader_ = std::make_unique<TarReader>(this, TarLimits{summary_.tar_bytes, kNone});
  buffer_.reset(new uint8_t[kStepBytes]());
  return result;
}

Result LayerReplay::OpenRoot() {
  Result result = CheckLayerImage(layer_);
  if (!result.ok()) return AsDamage(result);
  result = OpenLayerRoot(layer_, &root_);
  // Its own checksums are right: it is of another kernel's taste.
  if (result.error == EINVAL)
    result = Result::failure("layer image: it cannot be mounted", EINVAL, result.path);
  return AsDamage(result);
}

/// The reader's source: what ends it early is in failure_.
bool LayerReplay::Next(Bytes* piece) {
  if (!failure_.ok()) return false;
  bool more = false;
  failure_ = NextPiece(piece, &more);
  if (!failure_.ok() || !more) return false;
  if (piece->size > summary_.tar_bytes - made_) failure_ = Damaged();
  if (!failure_.ok()) return false;
  made_ += piece->size;
  // Without what could not be read it is the digest of something else.
  if (mode_ != ReplayMode::kCheck && !unread_) hash_.Update(piece->data, piece->size);
  if (tar_ != nullptr) tar_->append(reinterpret_cast<const char*>(piece->data), piece->size);
  return true;
}

Result LayerReplay::NextPiece(Bytes* piece, bool* more) {
  *more = true;
  if (literal_left_ == 0 && content_.size == 0) {
    RecordFrame frame;
    Result result = record_.Next(&frame, more);
    if (!result.ok() || !*more) return result;
    if (frame.content) {
      content_ = frame;
      result = BeginContent();
      if (!result.ok()) return result;
    } else {
      literal_left_ = frame.size;
    }
  }
  data_begun_ = true;
  unread_ = false;
  if (literal_left_ == 0) return ContentPiece(piece);
  Result result = record_.Literal(std::min<uint64_t>(literal_left_, kStepBytes), piece);
  literal_left_ -= piece->size;
  return result;
}

/// Content is the whole data of the entry that is being read, and of nothing else.
Result LayerReplay::BeginContent() {
  if (!in_data_ || data_begun_ || content_.size != entry_.data_size) return Damaged();
  crc_ = 0;
  run_ = 0;
  run_offset_ = 0;
  file_.reset();
  skip_ = mode_ == ReplayMode::kCheck;
  if (skip_) return Result::success();
  Result result = checker_->OpenContent(entry_, &file_);
  if (!result.ok() || file_.valid()) return result;
  if (mode_ == ReplayMode::kVerify) {
    NoteDamage("is missing or no file");
    skip_ = true;
    return result;
  }
  return Result::failure("layer record: file is missing or damaged", EBADMSG, entry_.path.c_str());
}

Result LayerReplay::ContentPiece(Bytes* piece) {
  size_t size = static_cast<size_t>(std::min<uint64_t>(content_.size, kStepBytes));
  Result result = skip_ ? Result::success() : ReadContent(buffer_.get(), size);
  if (!result.ok()) return result;
  // Whatever the record claims that there is takes no time: the reader hands data on without looking at it.
  unread_ = skip_;
  if (skip_) size = content_.size;
  *piece = Bytes{buffer_.get(), size};
  content_.size -= size;
  return content_.size == 0 && !skip_ ? EndContent() : Result::success();
}

/// What a damaged file does not have is skipped.
Result LayerReplay::ReadContent(uint8_t* to, size_t size) {
  for (size_t have = 0; have < size;) {
    size_t want = size - have;
    uint64_t offset = run_offset_;
    if (entry_.sparse) {
      while (run_ < entry_.runs.size() && run_offset_ == entry_.runs[run_].size) {
        run_++;
        run_offset_ = 0;
      }
      if (run_ == entry_.runs.size()) return Damaged();
      const SparseRun& run = entry_.runs[run_];
      want = static_cast<size_t>(std::min<uint64_t>(want, run.size - run_offset_));
      offset = run.offset + run_offset_;
    }
    ssize_t got = 0;
    if (file_.valid()) got = pread(file_.get(), to + have, want, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      if (mode_ == ReplayMode::kRecreate) {
        int error = got < 0 ? errno : EBADMSG;
        return Result::failure("layer record: file is shorter than it was", error, entry_.path.c_str());
      }
      std::string why = "is shorter than it was";
      if (got < 0) why = std::string("cannot be read: ") + strerrorname_np(errno);
      NoteDamage(why);
      skip_ = true;
      return Result::success();
    }
    run_offset_ += static_cast<uint64_t>(got);
    have += static_cast<size_t>(got);
  }
  crc_ = crc32_gzip_refl(crc_, to, size);
  return Result::success();
}

Result LayerReplay::EndContent() {
  file_.reset();
  if (crc_ == content_.crc) return Result::success();
  if (mode_ == ReplayMode::kRecreate)
    return Result::failure("layer record: file has another content than it had", EBADMSG,
                           entry_.path.c_str());
  NoteDamage("has another content than it had");
  return Result::success();
}

/// The first thing found wrong with an entry is the one to tell.
void LayerReplay::NoteDamage(std::string what) {
  if (sound_) checker_->AddDamage(entry_, std::move(what));
  sound_ = false;
}

Result LayerReplay::BeginEntry() {
  entries_++;
  in_data_ = true;
  data_begun_ = false;
  sound_ = true;
  if (mode_ == ReplayMode::kRecreate) return Result::success();
  return checker_->Check(entry_, &sound_);
}

Result LayerReplay::Step(std::string* tar, bool* more) { return AsDamage(StepOnce(tar, more)); }

Result LayerReplay::StepOnce(std::string* tar, bool* more) {
  tar_ = tar;
  *more = true;
  Result result;
  if (in_rest_) {
    result = reader_->SkipPiece(more);
    if (result.ok() && failure_.ok() && !*more) result = Finish();
  } else if (in_data_) {
    Bytes piece;
    result = reader_->Data(&piece);
    if (result.ok() && piece.size == 0) in_data_ = false;
  } else {
    bool another = false;
    result = reader_->Next(&entry_, &another);
    in_rest_ = result.ok() && !another;
    if (result.ok() && another) result = BeginEntry();
  }
  tar_ = nullptr;
  // A source that failed looks like an archive that ends too early.
  if (!failure_.ok()) return failure_;
  return strncmp(result.step, "tar: ", 5) == 0 ? Damaged() : result;
}

Result LayerReplay::Finish() {
  if (made_ != summary_.tar_bytes || entries_ != summary_.entries) return Damaged();
  // Of a layer that replaces entries of its own, files may be left at the end of a link that is gone.
  if (mode_ != ReplayMode::kRecreate && summary_.lost.empty()) {
    Result result = checker_->CheckRest();
    if (!result.ok()) return result;
  }
  if (mode_ == ReplayMode::kCheck) return Result::success();
  diff_id_ = hash_.Digest();
  if (mode_ == ReplayMode::kVerify || diff_id_ == summary_.diff_id) return Result::success();
  return Result::failure("layer record: the tar that it gives is not the one it is of", EBADMSG,
                         record_path_.c_str());
}

}  // namespace berth
