#include "report.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace probe {

void Report::Text(const std::string& key, const std::string& value) {
  entries_.push_back({key, Kind::kText, {value}});
}

void Report::Number(const std::string& key, long long value) {
  entries_.push_back({key, Kind::kRaw, {std::to_string(value)}});
}

void Report::Flag(const std::string& key, bool value) {
  entries_.push_back({key, Kind::kRaw, {value ? "true" : "false"}});
}

void Report::List(const std::string& key, const std::vector<std::string>& values) {
  entries_.push_back({key, Kind::kList, values});
}

static std::string Quoted(const std::string& text) {
  std::string out = "\"";
  char buffer[8];
  for (unsigned char byte : text) {
    if (byte == '"' || byte == '\\') {
      out += '\\';
      out += static_cast<char>(byte);
    } else if (byte < 0x20 || byte >= 0x7f) {
      // Bytes, not characters: what an environment holds need not be UTF-8.
      snprintf(buffer, sizeof buffer, "\\u%04x", byte);
      out += buffer;
    } else {
      out += static_cast<char>(byte);
    }
  }
  return out + "\"";
}

void Report::PrintJson(const Entry& entry) const {
  printf("%s:", Quoted(entry.key).c_str());
  if (entry.kind == Kind::kRaw) {
    printf("%s", entry.values[0].c_str());
    return;
  }
  if (entry.kind == Kind::kText) {
    printf("%s", Quoted(entry.values[0]).c_str());
    return;
  }
  printf("[");
  for (size_t index = 0; index < entry.values.size(); ++index) {
    printf("%s%s", index == 0 ? "" : ",", Quoted(entry.values[index]).c_str());
  }
  printf("]");
}

void Report::Print(bool json) const {
  if (json) printf("{");
  bool first = true;
  for (const Entry& entry : entries_) {
    if (json) {
      if (!first) printf(",");
      PrintJson(entry);
    } else {
      for (const std::string& value : entry.values) printf("%s: %s\n", entry.key.c_str(), value.c_str());
    }
    first = false;
  }
  if (json) printf("}\n");
}

std::string ReadAll(const char* path) {
  std::string out;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return out;
  char buffer[4096];
  ssize_t count;
  while ((count = read(fd, buffer, sizeof buffer)) > 0) out.append(buffer, static_cast<size_t>(count));
  close(fd);
  return out;
}

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> out;
  size_t start = 0;
  while (start < text.size()) {
    size_t end = text.find(separator, start);
    if (end == std::string::npos) end = text.size();
    out.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return out;
}

std::string StatusField(const char* name) {
  const std::string prefix = std::string(name) + ":\t";
  for (const std::string& line : Split(ReadAll("/proc/self/status"), '\n')) {
    if (line.compare(0, prefix.size(), prefix) == 0) return line.substr(prefix.size());
  }
  return "";
}

}  // namespace probe
