// compileSeccomp(defaultAction, defaultErrno, architectures, rules) -> Promise<Uint8Array>
// rules: [names, action, errno, [index, op, value, valueTwo][]][]; values are bigint.

#include "../kernel/seccomp.h"

#include <napi.h>

#include <memory>

#include "translate.h"

namespace berth::binding {

namespace {

std::string Text(const Napi::Value& value) {
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : std::string();
}

uint32_t Number(const Napi::Value& value) {
  return value.IsNumber() ? value.As<Napi::Number>().Uint32Value() : 0;
}

uint64_t Wide(const Napi::Value& value) {
  bool lossless = true;
  return value.IsBigInt() ? value.As<Napi::BigInt>().Uint64Value(&lossless) : 0;
}

/// Empty when `value` is no array.
template <typename Item, typename Convert>
std::vector<Item> List(const Napi::Value& value, Convert convert) {
  std::vector<Item> items;
  if (!value.IsArray()) return items;
  Napi::Array array = value.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); i++) items.push_back(convert(array.Get(i)));
  return items;
}

SeccompArgument ArgumentOf(const Napi::Value& value) {
  SeccompArgument argument;
  if (!value.IsArray()) return argument;
  Napi::Array fields = value.As<Napi::Array>();
  argument.index = Number(fields.Get(0u));
  argument.op = Text(fields.Get(1u));
  argument.value = Wide(fields.Get(2u));
  argument.value_two = Wide(fields.Get(3u));
  return argument;
}

SeccompRule RuleOf(const Napi::Value& value) {
  SeccompRule rule;
  if (!value.IsArray()) return rule;
  Napi::Array fields = value.As<Napi::Array>();
  rule.names = List<std::string>(fields.Get(0u), Text);
  rule.action = Text(fields.Get(1u));
  rule.error = static_cast<uint16_t>(Number(fields.Get(2u)));
  rule.args = List<SeccompArgument>(fields.Get(3u), ArgumentOf);
  return rule;
}

Napi::Value Compile(const Napi::CallbackInfo& info) {
  SeccompProfile profile;
  profile.default_action = StringArgument(info, 0);
  profile.default_error = static_cast<uint16_t>(NumberArgument(info, 1));
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  profile.architectures = List<std::string>(info[2], Text);
  profile.rules = List<SeccompRule>(info[3], RuleOf);
  auto program = std::make_shared<std::vector<uint8_t>>();
  return Run(
      info.Env(), Where::kPool,
      [profile = std::move(profile), program]() { return CompileSeccomp(profile, program.get()); },
      [program](Napi::Env env) -> Napi::Value {
        Napi::Uint8Array bytes = Napi::Uint8Array::New(env, program->size());
        std::copy(program->begin(), program->end(), bytes.Data());
        return bytes;
      });
}

}  // namespace

void RegisterSeccomp(Napi::Env env, Napi::Object exports) {
  exports.Set("compileSeccomp", Napi::Function::New(env, Compile, "compileSeccomp"));
}

}  // namespace berth::binding
