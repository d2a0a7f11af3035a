// Steps that talk to the monitor: the pty's hand-over and the wait for "go".

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../kernel/descriptor_message.h"
#include "../kernel/fd.h"
#include "../kernel/handshake.h"
#include "../kernel/rooted.h"
#include "init.h"

namespace berth {

Result SendDescriptor(int socket, InitMessageKind kind, int fd) {
  InitMessage message;
  memset(&message, 0, sizeof message);
  message.kind = kind;
  iovec data{&message, sizeof message};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  memset(control, 0, sizeof control);
  msghdr header;
  memset(&header, 0, sizeof header);
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  cmsghdr* part = CMSG_FIRSTHDR(&header);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(part), &fd, sizeof fd);
  bool sent = sendmsg(socket, &header, MSG_NOSIGNAL) >= 0;
  return sent ? Result::success() : Result::last("sendmsg", "descriptor");
}

Result ReceiveDescriptor(int socket, Fd* fd) {
  InitMessage message;
  ssize_t size;
  do {
    size = ReceiveWithDescriptor(socket, &message, sizeof message, 0, fd);
  } while (size < 0 && errno == EINTR);
  if (size == sizeof message && fd->valid()) return Result::success();
  fd->reset();
  return Result::failure("recvmsg", EPIPE, "descriptor");
}

namespace {

Result MountConsole(const InitContext& context, int root) {
  Result result = MakeFileInRoot(root, "/dev/console");
  if (!result.ok()) return result;
  Fd at;
  result = OpenInRoot(root, "/dev/console", O_PATH, 0, &at);
  if (!result.ok()) return result;
  Fd tree(open_tree(context.terminal, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
  if (!tree.valid()) return Result::last("open_tree", "/dev/console");
  if (move_mount(tree.get(), "", at.get(), "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
    return Result::last("move_mount", "/dev/console");
  }
  return Result::success();
}

}  // namespace

Result Console(InitContext& context, const PlanStep& step) {
  // An exec has no root of its own plan: it is in the container's already.
  Fd here;
  if (context.root < 0) {
    here.reset(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!here.valid()) return Result::last("open", "/");
  }
  int root = context.root >= 0 ? context.root : here.get();
  Fd master;
  Result result = OpenInRoot(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY, 0, &master);
  if (!result.ok()) return result;
  int unlock = 0;
  if (ioctl(master.get(), TIOCSPTLCK, &unlock) != 0) return Result::last("ioctl TIOCSPTLCK", "/dev/pts/ptmx");
  context.terminal = ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (context.terminal < 0) return Result::last("ioctl TIOCGPTPEER", "/dev/pts/ptmx");
  if (step.a != 0 && step.b != 0) {
    winsize size;
    memset(&size, 0, sizeof size);
    size.ws_row = static_cast<unsigned short>(step.a);
    size.ws_col = static_cast<unsigned short>(step.b);
    if (ioctl(context.terminal, TIOCSWINSZ, &size) != 0) return Result::last("ioctl TIOCSWINSZ", "console");
  }
  if (context.root_is_ours) {
    result = MountConsole(context, root);
    if (!result.ok()) return result;
  }
  result = SendDescriptor(context.sync, InitMessageKind::kConsole, master.get());
  if (!result.ok()) return result;
  if (ioctl(context.terminal, TIOCSCTTY, 0) != 0) return Result::last("ioctl TIOCSCTTY", "console");
  for (int fd = 0; fd <= 2; fd++) {
    if (dup2(context.terminal, fd) < 0) return Result::last("dup2", "console");
  }
  return Result::success();
}

namespace {

/// Tells the monitor where the process is and waits for its "go".
Result TellAndWait(const InitContext& context, InitMessageKind kind, const char* waiting) {
  InitMessage message;
  memset(&message, 0, sizeof message);
  message.kind = kind;
  if (send(context.sync, &message, sizeof message, MSG_NOSIGNAL) < 0) return Result::last("send", waiting);
  ssize_t size;
  do {
    size = recv(context.sync, &message, sizeof message, 0);
  } while (size < 0 && errno == EINTR);
  // The monitor is gone or has discarded the container.
  if (size != sizeof message || message.kind != InitMessageKind::kGo)
    return Result::failure(waiting, ECANCELED);
  return Result::success();
}

}  // namespace

Result Pause(InitContext& context, const PlanStep&) {
  return TellAndWait(context, InitMessageKind::kPaused, "wait for hooks");
}

Result Ready(InitContext& context, const PlanStep&) {
  // Set only now: a change of user ids clears it.
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return Result::last("prctl pdeathsig");
  return TellAndWait(context, InitMessageKind::kReady, "wait for start");
}

}  // namespace berth
