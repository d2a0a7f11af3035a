// A layer's tar again, out of its record and its directory or image. The record may be forged and the
// directory may be changed meanwhile: nothing is read outside of the layer, and what comes out is compared
// with the record's diff ID, so that it is the very same tar or an error.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fd.h"
#include "sha256.h"
#include "tar.h"
#include "tar_record.h"
#include "tree_check.h"

namespace berth {

enum class ReplayMode {
  kCheck,     // compare metadata; no content is read
  kVerify,    // compare metadata and contents, go on after damage
  kRecreate,  // make the tar; damage is an error
};

class LayerReplay : public TarSource {
 public:
  LayerReplay(std::string layer, std::string record, ReplayMode mode);

  /// A layer or a record that is damaged as a whole is an error, in every mode.
  Result Open();
  /// One step further. What it makes of the tar is appended to `*tar`, unless that is null: at most
  /// kStepBytes, or one entry's headers (a few MiB). `*more` is false at the end, when all of it was sound
  /// or, in kCheck and kVerify, the damage is known.
  Result Step(std::string* tar, bool* more);

  static constexpr size_t kStepBytes = 256 << 10;
  const RecordSummary& summary() const { return summary_; }
  /// Of the tar that was made, in kVerify: with damaged contents it is another than the summary's.
  const std::string& diff_id() const { return diff_id_; }
  std::vector<TreeDamage> damage() const { return damage_.List(); }
  uint64_t entries() const { return entries_; }

  bool Next(Bytes* piece) override;

 private:
  Result OpenRoot();
  Result StepOnce(std::string* tar, bool* more);
  Result NextPiece(Bytes* piece, bool* more);
  Result BeginContent();
  Result ContentPiece(Bytes* piece);
  Result ReadContent(uint8_t* to, size_t size);
  Result EndContent();
  void NoteDamage(std::string what);
  Result BeginEntry();
  Result Finish();
  Result Damaged() const;

  const std::string layer_;
  const std::string record_path_;
  const ReplayMode mode_;
  Fd root_;
  RecordReader record_;
  RecordSummary summary_;
  DamageList damage_;
  std::unique_ptr<TreeChecker> checker_;
  std::unique_ptr<TarReader> reader_;

  TarEntry entry_;
  uint64_t entries_ = 0;
  bool in_rest_ = false;     // behind the archive's end
  bool in_data_ = false;     // the entry's data is being read
  bool data_begun_ = false;  // some of it came
  bool sound_ = true;        // the entry's metadata is as it should be

  uint64_t literal_left_ = 0;
  RecordFrame content_;  // content_.size counts down
  uint32_t crc_ = 0;
  bool skip_ = false;    // the content is not read
  bool unread_ = false;  // the piece has a size and no bytes
  Fd file_;
  size_t run_ = 0;
  uint64_t run_offset_ = 0;
  std::unique_ptr<uint8_t[]> buffer_;

  uint64_t made_ = 0;
  Sha256 hash_;
  std::string diff_id_;
  std::string* tar_ = nullptr;
  Result failure_;
};

}  // namespace berth
