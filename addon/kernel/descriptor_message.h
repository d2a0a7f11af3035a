// A message that may carry a descriptor over a Unix socket.
#pragma once

#include <string.h>
#include <sys/socket.h>

#include "fd.h"

namespace berth {

/// recvmsg, whose answer it gives. `fd` becomes the descriptor that came with the message, or none. Of more
/// descriptors than one the kernel keeps the others.
inline ssize_t ReceiveWithDescriptor(int socket, void* data, size_t size, int flags, Fd* fd) {
  iovec place{data, size};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  memset(control, 0, sizeof control);
  msghdr header;
  memset(&header, 0, sizeof header);
  header.msg_iov = &place;
  header.msg_iovlen = 1;
  header.msg_control = control;
  // Room for one descriptor and not, as the padding would have it, for two.
  header.msg_controllen = CMSG_LEN(sizeof(int));
  fd->reset();
  ssize_t received = recvmsg(socket, &header, flags | MSG_CMSG_CLOEXEC);
  const cmsghdr* part = received >= 0 ? CMSG_FIRSTHDR(&header) : nullptr;
  if (part == nullptr || part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) return received;
  int number;
  memcpy(&number, CMSG_DATA(part), sizeof number);
  fd->reset(number);
  return received;
}

}  // namespace berth
