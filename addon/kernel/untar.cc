#include "untar.h"

#include <sched.h>
#include <sys/stat.h>

#include "tar_record.h"
#include "untar_writer.h"

namespace berth {

Result Untar(int root, TarSource* source, TarLimits limits, TarRecorder* recorder, uint64_t* entries) {
  *entries = 0;
  // Modes are given to open and mkdir as they are to be.
  if (unshare(CLONE_FS) != 0) return Result::last("unshare");
  umask(0);
  TarReader reader(source, limits, recorder);
  UntarWriter writer(root, &reader, recorder);
  TarEntry entry;
  bool more = true;
  for (;;) {
    Result result = reader.Next(&entry, &more);
    if (result.ok() && !more) {
      result = reader.SkipRest();
      return result.ok() ? writer.FinishDirectories() : result;
    }
    if (result.ok()) result = writer.Write(entry);
    if (result.ok() && recorder != nullptr) result = recorder->result();
    if (!result.ok()) return result;
    ++*entries;
  }
}

}  // namespace berth
