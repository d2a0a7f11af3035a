// berth-monitor <title> <state dir> <socket path>, with a packet socket to the addon as descriptor 3
// (docs/monitor-protocol.md, "Start of a monitor").

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor.h"

namespace berth {

namespace {

constexpr int kAddonSocket = 3;

void Answer(uint32_t index, const Result& result) {
  InitMessage message{};
  message.kind = result.ok() ? InitMessageKind::kReady : InitMessageKind::kFailed;
  message.step_index = index;
  message.error = result.error;
  strncpy(message.step, result.step, sizeof message.step - 1);
  memcpy(message.path, result.path, sizeof message.path);
  (void)!send(kAddonSocket, &message, sizeof message, MSG_NOSIGNAL);
  close(kAddonSocket);
}

Result ReceivePlan(std::string* bytes, Plan* plan) {
  ssize_t size = recv(kAddonSocket, nullptr, 0, MSG_PEEK | MSG_TRUNC);
  if (size <= 0) return Result::last("receive plan");
  bytes->resize(static_cast<size_t>(size));
  if (recv(kAddonSocket, bytes->data(), bytes->size(), 0) != size) return Result::last("receive plan");
  return Plan::Parse(reinterpret_cast<const uint8_t*>(bytes->data()), bytes->size(), plan);
}

int Main(int argc, char** argv) {
  if (argc != 4) {
    fprintf(stderr, "berth-monitor is started by berthd\n");
    return 2;
  }
  fcntl(kAddonSocket, F_SETFD, FD_CLOEXEC);
  prctl(PR_SET_NAME, "berth-monitor", 0, 0, 0);
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  signal(SIGPIPE, SIG_IGN);
  umask(022);
  // Memory of a burst goes back at once: there is one of these processes per pod.
  mallopt(M_TRIM_THRESHOLD, 64 * 1024);
  mallopt(M_MMAP_THRESHOLD, 64 * 1024);
  std::string bytes;
  Plan plan;
  PodResources pod;
  pod.argv = argv;
  uint32_t index = kNoStep;
  Result result = ReceivePlan(&bytes, &plan);
  if (result.ok()) result = RunPodPlan(plan, &pod, &index);
  if (!result.ok()) {
    Answer(index, result);
    return 1;
  }
  Monitor monitor(argv[2], argv[3], std::move(pod));
  result = monitor.Listen();
  Answer(kNoStep, result);
  if (!result.ok()) return 1;
  monitor.Run();
  return 0;
}

}  // namespace

}  // namespace berth

int main(int argc, char** argv) { return berth::Main(argc, argv); }
