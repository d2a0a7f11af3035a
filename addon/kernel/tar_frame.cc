#include "tar_frame.h"

#include "tar.h"
#include "tar_write.h"

namespace berth {

std::string TarFrameHead(const FramedFile& file) {
  std::string head;
  for (size_t at = file.name.find('/'); at != std::string::npos; at = file.name.find('/', at + 1)) {
    TarHeader directory;
    directory.name = file.name.substr(0, at + 1);
    directory.type = '5';
    directory.mode = 0755;
    head += TarHeaderBlocks(directory);
  }
  TarHeader header;
  header.name = file.name;
  header.mode = 0644;
  header.size = file.size;
  header.mtime = file.mtime;
  return head + TarHeaderBlocks(header);
}

std::string TarFrameTail(const FramedFile& file) {
  return TarPadding(file.size) + std::string(2 * kTarBlock, '\0');
}

}  // namespace berth
