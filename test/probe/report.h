// The probe's report: what a process sees from inside, as "key: value" lines or as one JSON object.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace probe {

/** Collects pairs in order. Lists print as arrays (JSON) or as repeated lines. */
class Report {
 public:
  void Text(const std::string& key, const std::string& value);
  void Number(const std::string& key, long long value);
  void Flag(const std::string& key, bool value);
  void List(const std::string& key, const std::vector<std::string>& values);
  void Print(bool json) const;

 private:
  enum class Kind { kText, kRaw, kList };
  struct Entry {
    std::string key;
    Kind kind;
    std::vector<std::string> values;
  };
  void PrintJson(const Entry& entry) const;
  std::vector<Entry> entries_;
};

/** Everything of `path`, or "" when it cannot be read. */
std::string ReadAll(const char* path);
/** `text` cut at `separator`; a last empty piece is dropped. */
std::vector<std::string> Split(const std::string& text, char separator);
/** The value of "Name:\tvalue" in /proc/self/status, or "". */
std::string StatusField(const char* name);

void ReportProcess(Report& report);
void ReportIdentity(Report& report);
void ReportKernel(Report& report);
void ReportFiles(Report& report);
void ReportNetwork(Report& report);
void ReportEnvironment(Report& report);

}  // namespace probe
