#include "untar.h"

#include <sched.h>
#include <sys/stat.h>

#include "erofs_writer.h"
#include "tar_record.h"
#include "untar_writer.h"

namespace berth {

namespace {

/// To the recorder it is content as if it were written.
Result ReadData(TarReader* reader) {
  Result result;
  for (Bytes data{nullptr, 1}; result.ok() && data.size > 0;) result = reader->Data(&data);
  return result;
}

Result ReadEntries(TarReader* reader, LayerWriter* writer, TarRecorder* recorder, uint64_t* entries,
                   bool files) {
  *entries = 0;
  TarEntry entry;
  bool more = true;
  for (;;) {
    Result result = reader->Next(&entry, &more);
    if (result.ok() && !more) {
      result = reader->SkipRest();
      return result.ok() ? writer->Finish() : result;
    }
    if (result.ok()) result = files || entry.type != TarType::kFile ? writer->Write(entry) : ReadData(reader);
    if (result.ok() && recorder != nullptr) result = recorder->result();
    if (!result.ok()) return result;
    ++*entries;
  }
}

}  // namespace

Result Untar(int root, TarSource* source, TarLimits limits, TarRecorder* recorder, uint64_t* entries,
             bool files) {
  *entries = 0;
  // Modes are given to open and mkdir as they are to be.
  if (unshare(CLONE_FS) != 0) return Result::last("unshare");
  umask(0);
  TarReader reader(source, limits, recorder);
  UntarWriter writer(root, &reader, recorder);
  return ReadEntries(&reader, &writer, recorder, entries, files);
}

Result UntarImage(ErofsImage* image, TarSource* source, TarLimits limits, TarRecorder* recorder,
                  uint64_t* entries, ErofsSuper* super) {
  *entries = 0;
  TarReader reader(source, limits, recorder);
  ErofsWriter writer(image, &reader, recorder);
  Result result = writer.Begin();
  if (result.ok()) result = ReadEntries(&reader, &writer, recorder, entries, true);
  *super = writer.super();
  return result;
}

}  // namespace berth
