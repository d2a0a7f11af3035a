#include <napi.h>

namespace berth::binding {

void RegisterRootfs(Napi::Env, Napi::Object) {}

}  // namespace berth::binding
