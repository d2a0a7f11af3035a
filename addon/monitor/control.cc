// The requests of a control connection, one function each.

#include <sched.h>
#include <unistd.h>

#include "monitor.h"

namespace berth {

namespace {

/// The plan of a request, in a copy of its own: its records need their alignment.
Result ReadPlan(FieldReader& fields, std::string* bytes, Plan* plan) {
  bytes->assign(fields.Blob());
  if (!fields.ok()) return Result::failure("plan", EBADMSG);
  return Plan::Parse(reinterpret_cast<const uint8_t*>(bytes->data()), bytes->size(), plan);
}

LaunchRequest ReadLaunch(FieldReader& fields) {
  LaunchRequest launch;
  launch.cgroup = fields.Str();
  launch.limit_ms = fields.U32();
  launch.pid_file = fields.Str();
  launch.console_socket = fields.Str();
  return launch;
}

}  // namespace

void Monitor::Handle(Connection& connection, const Frame& frame) {
  switch (frame.type) {
    case FrameType::kHello: return Welcome(connection, frame);
    case FrameType::kPrepare: return HandlePrepare(connection, frame);
    case FrameType::kExec: return HandleExec(connection, frame);
    case FrameType::kAttach: return HandleAttach(connection, frame);
    case FrameType::kRun: return HandleRun(connection, frame);
    case FrameType::kShutdown: return HandleShutdown(connection, frame);
    default: return HandleOnContainer(connection, frame);
  }
}

void Monitor::Welcome(Connection& connection, const Frame& frame) {
  FrameWriter welcome(FrameType::kWelcome, frame.id);
  uint32_t count = 0;
  for (const auto& container : containers_) count += container->state() != ContainerState::kPreparing ? 1 : 0;
  welcome.U16(kProtocolVersion).U32(static_cast<uint32_t>(getpid())).U32(count);
  for (const auto& container : containers_) {
    if (container->state() == ContainerState::kPreparing) continue;
    bool exited = container->state() == ContainerState::kExited;
    ExitStatus exit = exited ? container->exit() : ExitStatus{};
    welcome.Str(container->id()).U8(static_cast<uint8_t>(container->state()));
    welcome.U32(static_cast<uint32_t>(container->pid()))
        .U64(container->start_time())
        .U64(container->started_at());
    welcome.U64(exit.finished_at).U8(exit.code).U8(exit.signal).U8(exit.oom ? 1 : 0);
  }
  welcome.U32(pod_.init_pid > 0 ? static_cast<uint32_t>(pod_.init_pid) : 0);
  connection.Send(welcome);
}

void Monitor::HandlePrepare(Connection& connection, const Frame& frame) {
  FieldReader fields(frame.payload);
  std::string id = fields.Str(), cgroup = fields.Str(), log = fields.Str();
  uint8_t flags = fields.U8();
  std::string pid_target = fields.Str();
  std::string bytes;
  Plan plan;
  Result plan_result = ReadPlan(fields, &bytes, &plan);
  LaunchRequest launch;
  if ((flags & kFlagRuntime) != 0) launch = ReadLaunch(fields);
  Result result = fields.ok() ? plan_result : Result::failure("prepare", EBADMSG);
  if (result.ok() && Find(id) != nullptr) result = Result::failure("prepare", EEXIST, id.c_str());
  Container* target = pid_target.empty() ? nullptr : Find(pid_target);
  if (result.ok() && !pid_target.empty() && (target == nullptr || target->reaped())) {
    result = Result::failure("prepare: PID namespace of", ESRCH, pid_target.c_str());
  }
  if (!result.ok()) return connection.SendFailed(frame.id, kNoStep, result);
  containers_.push_back(std::make_unique<Container>(*this, id, cgroup, flags));
  Container* container = containers_.back().get();
  result = container->Prepare(log, plan, target == nullptr ? -1 : target->pidfd(),
                              (flags & kFlagRuntime) != 0 ? &launch : nullptr, &connection, frame.id);
  if (result.ok()) return;
  connection.SendFailed(frame.id, container->failed_step(), result);
  Erase(container);
}

void Monitor::HandleExec(Connection& connection, const Frame& frame) {
  FieldReader fields(frame.payload);
  std::string id = fields.Str(), cgroup = fields.Str();
  uint8_t flags = fields.U8();
  fields.U16();  // rows and columns: the plan's console step has them
  fields.U16();
  std::string bytes;
  Plan plan;
  Result plan_result = ReadPlan(fields, &bytes, &plan);
  bool by_runtime = (flags & kFlagRuntime) != 0;
  LaunchRequest launch;
  std::string launch_cgroup;
  if (by_runtime) {
    launch = ReadLaunch(fields);
    launch_cgroup = fields.Str();
    // A runtime that cannot put it there itself.
    if (fields.U8() != 0) launch.move_to = launch_cgroup;
  }
  Result result = fields.ok() ? plan_result : Result::failure("exec", EBADMSG);
  Container* container = Find(id);
  if (result.ok() &&
      (container == nullptr || container->state() != ContainerState::kRunning || container->reaped())) {
    result = Result::failure("exec: container is not running", ESRCH, id.c_str());
  }
  if (result.ok()) {
    execs_.push_back(std::make_unique<ExecProcess>(*this, id, &connection));
    ExecProcess* exec = execs_.back().get();
    result = exec->Begin(*container, plan, flags, by_runtime ? &launch : nullptr, launch_cgroup);
    if (result.ok()) return;
    Erase(exec);
  }
  connection.SendFailed(frame.id, kNoStep, result);
  connection.FinishSoon();
}

void Monitor::HandleAttach(Connection& connection, const Frame& frame) {
  FieldReader fields(frame.payload);
  std::string id = fields.Str();
  uint8_t flags = fields.U8();
  Container* container = Find(id);
  bool attachable = container != nullptr && !container->reaped() && !container->forgotten() &&
                    container->state() != ContainerState::kPreparing;
  if (fields.ok() && attachable) return container->Attach(&connection, (flags & kFlagStdin) != 0);
  connection.SendFailed(frame.id, kNoStep,
                        Result::failure("attach: container is not running", ESRCH, id.c_str()));
  connection.FinishSoon();
}

void Monitor::HandleRun(Connection& connection, const Frame& frame) {
  FieldReader fields(frame.payload);
  std::string target_id = fields.Str();
  CommandRequest request{};
  request.cgroup = fields.Str();
  request.limit_ms = fields.U32();
  request.input = fields.Blob();
  std::string bytes;
  Plan plan;
  Result plan_result = ReadPlan(fields, &bytes, &plan);
  Result result = fields.ok() ? plan_result : Result::failure("run", EBADMSG);
  Container* target = target_id.empty() ? nullptr : Find(target_id);
  if (result.ok() && !target_id.empty() && (target == nullptr || target->reaped())) {
    result = Result::failure("run: container is not there", ESRCH, target_id.c_str());
  }
  if (target != nullptr) request.target_pidfd = target->pidfd();
  request.plan = &plan;
  if (result.ok()) result = StartCommand(std::make_unique<Command>(*this, &connection, frame.id), request);
  if (!result.ok()) connection.SendFailed(frame.id, kNoStep, result);
}

void Monitor::HandleStart(Container& container, Connection& connection, const Frame& frame,
                          FieldReader& fields) {
  if (fields.at_end()) return container.Start(nullptr, &connection, frame.id);
  CommandRequest command{};
  command.cgroup = fields.Str();
  command.limit_ms = fields.U32();
  std::string bytes;
  Plan plan;
  Result result = ReadPlan(fields, &bytes, &plan);
  if (!fields.ok()) result = Result::failure("start", EBADMSG);
  if (!result.ok()) return connection.SendFailed(frame.id, kNoStep, result);
  command.plan = &plan;
  container.Start(&command, &connection, frame.id);
}

void Monitor::HandleShutdown(Connection& connection, const Frame& frame) {
  for (const auto& container : containers_) container->KillAll();
  connection.SendDone(frame.id);
  shutting_down_ = true;
}

void Monitor::HandleOnContainer(Connection& connection, const Frame& frame) {
  FieldReader fields(frame.payload);
  std::string id = fields.Str();
  Container* container = Find(id);
  if (frame.type == FrameType::kForget && container == nullptr) {
    // The record of an earlier monitor of this pod may still lie there.
    unlink((state_dir_ + "/exit-" + id).c_str());
    return connection.SendDone(frame.id);
  }
  if (container == nullptr) {
    return connection.SendFailed(frame.id, kNoStep, Result::failure("find container", ENOENT, id.c_str()));
  }
  switch (frame.type) {
    case FrameType::kStart: return HandleStart(*container, connection, frame, fields);
    case FrameType::kProceed: return container->Proceed(&connection, frame.id);
    case FrameType::kForget: return container->Forget(&connection, frame.id);
    case FrameType::kResize: {
      uint16_t rows = fields.U16(), columns = fields.U16();
      if (fields.ok()) container->Resize(rows, columns);
      return connection.SendDone(frame.id);
    }
    case FrameType::kReopenLog: {
      Result result = container->ReopenLog();
      return result.ok() ? connection.SendDone(frame.id) : connection.SendFailed(frame.id, kNoStep, result);
    }
    default: connection.SendFailed(frame.id, kNoStep, Result::failure("unknown request", EOPNOTSUPP));
  }
}

}  // namespace berth
