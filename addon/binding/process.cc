#include <napi.h>

namespace berth::binding {

void RegisterProcess(Napi::Env, Napi::Object) {}

}  // namespace berth::binding
