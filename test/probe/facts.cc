// The sections of the report.
#include <arpa/inet.h>
#include <dirent.h>
#include <ifaddrs.h>
#include <linux/keyctl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "report.h"

extern char** environ;

namespace probe {

static const char* const kCapabilities[] = {
    "chown",          "dac_override",     "dac_read_search", "fowner",        "fsetid",
    "kill",           "setgid",           "setuid",          "setpcap",       "linux_immutable",
    "net_bind_service", "net_broadcast",  "net_admin",       "net_raw",       "ipc_lock",
    "ipc_owner",      "sys_module",       "sys_rawio",       "sys_chroot",    "sys_ptrace",
    "sys_pacct",      "sys_admin",        "sys_boot",        "sys_nice",      "sys_resource",
    "sys_time",       "sys_tty_config",   "mknod",           "lease",         "audit_write",
    "audit_control",  "setfcap",          "mac_override",    "mac_admin",     "syslog",
    "wake_alarm",     "block_suspend",    "audit_read",      "perfmon",       "bpf",
    "checkpoint_restore"};

static std::vector<std::string> CapabilityNames(const std::string& hexadecimal) {
  std::vector<std::string> names;
  const unsigned long long mask = strtoull(hexadecimal.c_str(), nullptr, 16);
  const size_t known = sizeof kCapabilities / sizeof kCapabilities[0];
  for (size_t bit = 0; bit < 64; ++bit) {
    if ((mask >> bit & 1) == 0) continue;
    names.push_back(bit < known ? kCapabilities[bit] : "capability_" + std::to_string(bit));
  }
  return names;
}

static std::string LinkTarget(const std::string& path) {
  char buffer[4096];
  const ssize_t length = readlink(path.c_str(), buffer, sizeof buffer);
  return length < 0 ? std::string() : std::string(buffer, static_cast<size_t>(length));
}

void ReportProcess(Report& report) {
  report.Number("pid", getpid());
  report.Flag("pid1", getpid() == 1);
  report.Number("ppid", getppid());
  report.Number("process_group", getpgrp());
  report.Number("session", getsid(0));
  report.Text("pids_by_namespace", StatusField("NSpid"));
  report.Text("exe", LinkTarget("/proc/self/exe"));
  char cwd[4096];
  report.Text("working_directory", getcwd(cwd, sizeof cwd) != nullptr ? cwd : "");
  const mode_t mask = umask(0);
  umask(mask);
  char octal[8];
  snprintf(octal, sizeof octal, "%04o", mask & 07777);
  report.Text("umask", octal);
  report.Text("signals_blocked", StatusField("SigBlk"));
  report.Text("signals_ignored", StatusField("SigIgn"));
  report.Number("nice", getpriority(PRIO_PROCESS, 0));
  const std::string score = ReadAll("/proc/self/oom_score_adj");
  report.Text("oom_score_adj", score.substr(0, score.find('\n')));
  for (const char* name : {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"}) {
    const std::string target = LinkTarget(std::string("/proc/self/ns/") + name);
    const size_t start = target.find('[');
    const std::string inode = start == std::string::npos ? "" : target.substr(start + 1);
    report.Text(std::string("namespace_") + name, inode.substr(0, inode.find(']')));
  }
}

void ReportIdentity(Report& report) {
  uid_t real, effective, saved;
  if (getresuid(&real, &effective, &saved) == 0) {
    report.Number("uid", effective);
    report.Number("uid_real", real);
    report.Number("uid_saved", saved);
  }
  gid_t group, group_effective, group_saved;
  if (getresgid(&group, &group_effective, &group_saved) == 0) {
    report.Number("gid", group_effective);
    report.Number("gid_real", group);
    report.Number("gid_saved", group_saved);
  }
  gid_t groups[1024];
  const int count = getgroups(1024, groups);
  std::vector<std::string> names;
  for (int index = 0; index < count; ++index) names.push_back(std::to_string(groups[index]));
  report.List("groups", names);
  report.List("uid_map", Split(ReadAll("/proc/self/uid_map"), '\n'));
  report.List("gid_map", Split(ReadAll("/proc/self/gid_map"), '\n'));
  report.List("capabilities", CapabilityNames(StatusField("CapEff")));
  report.Text("capabilities_effective", StatusField("CapEff"));
  report.Text("capabilities_permitted", StatusField("CapPrm"));
  report.Text("capabilities_inheritable", StatusField("CapInh"));
  report.Text("capabilities_bounding", StatusField("CapBnd"));
  report.Text("capabilities_ambient", StatusField("CapAmb"));
  report.Flag("no_new_privs", StatusField("NoNewPrivs") == "1");
  report.Text("seccomp", StatusField("Seccomp"));
  report.Text("seccomp_filters", StatusField("Seccomp_filters"));
  const std::string profile = ReadAll("/proc/self/attr/current");
  report.Text("security_label", profile.substr(0, profile.find('\n')));
}

static std::string Limit(rlim_t value) {
  return value == RLIM_INFINITY ? "unlimited" : std::to_string(value);
}

void ReportKernel(Report& report) {
  struct utsname names;
  if (uname(&names) == 0) {
    report.Text("hostname", names.nodename);
    report.Text("kernel", names.release);
    report.Text("machine", names.machine);
  }
  report.Text("personality", std::to_string(personality(0xffffffff)));
  report.Text("session_keyring", std::to_string(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, -3, 0, 0, 0)));
  report.List("cgroup", Split(ReadAll("/proc/self/cgroup"), '\n'));
  static const char* const kLimits[] = {"cpu",   "fsize",  "data",    "stack", "core",     "rss",
                                        "nproc", "nofile", "memlock", "as",    "locks",    "sigpending",
                                        "msgqueue", "nice", "rtprio", "rttime"};
  std::vector<std::string> limits;
  for (int resource = 0; resource < 16; ++resource) {
    struct rlimit limit;
    if (getrlimit(static_cast<__rlimit_resource_t>(resource), &limit) != 0) continue;
    const std::string values = Limit(limit.rlim_cur) + " " + Limit(limit.rlim_max);
    limits.push_back(std::string(kLimits[resource]) + " " + values);
  }
  report.List("limits", limits);
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof cpus, &cpus) == 0) report.Number("cpus", CPU_COUNT(&cpus));
}

/** "TARGET TYPE OPTIONS" of each mount; raw lines are what the sub-command "mounts" prints. */
static std::vector<std::string> Mounts() {
  std::vector<std::string> out;
  for (const std::string& line : Split(ReadAll("/proc/self/mountinfo"), '\n')) {
    const std::vector<std::string> words = Split(line, ' ');
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (words.size() < 6 || dash == words.end() || dash + 1 == words.end()) continue;
    out.push_back(words[4] + " " + *(dash + 1) + " " + words[5]);
  }
  return out;
}

void ReportFiles(Report& report) {
  report.List("mounts", Mounts());
  std::vector<std::string> descriptors;
  if (DIR* directory = opendir("/proc/self/fd")) {
    const int own = dirfd(directory);
    while (const struct dirent* entry = readdir(directory)) {
      if (entry->d_name[0] == '.' || atoi(entry->d_name) == own) continue;
      const std::string name = entry->d_name;
      descriptors.push_back(name + " " + LinkTarget("/proc/self/fd/" + name));
    }
    closedir(directory);
  }
  report.List("descriptors", descriptors);
  std::vector<std::string> devices;
  if (DIR* directory = opendir("/dev")) {
    while (const struct dirent* entry = readdir(directory)) {
      if (entry->d_name[0] != '.') devices.push_back(entry->d_name);
    }
    closedir(directory);
  }
  std::sort(devices.begin(), devices.end());
  report.List("devices", devices);
  report.Flag("stdin_is_terminal", isatty(0) == 1);
  report.Flag("root_writable", access("/", W_OK) == 0);
}

void ReportNetwork(Report& report) {
  std::vector<std::string> interfaces;
  std::vector<std::string> addresses;
  struct ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return;
  for (struct ifaddrs* item = all; item != nullptr; item = item->ifa_next) {
    const std::string name = item->ifa_name;
    if (std::find(interfaces.begin(), interfaces.end(), name) == interfaces.end()) interfaces.push_back(name);
    if (item->ifa_addr == nullptr) continue;
    char text[INET6_ADDRSTRLEN] = "";
    if (item->ifa_addr->sa_family == AF_INET) {
      const auto* address = reinterpret_cast<struct sockaddr_in*>(item->ifa_addr);
      inet_ntop(AF_INET, &address->sin_addr, text, sizeof text);
    } else if (item->ifa_addr->sa_family == AF_INET6) {
      const auto* address = reinterpret_cast<struct sockaddr_in6*>(item->ifa_addr);
      inet_ntop(AF_INET6, &address->sin6_addr, text, sizeof text);
    } else {
      continue;
    }
    addresses.push_back(name + " " + text);
  }
  freeifaddrs(all);
  report.List("interfaces", interfaces);
  report.List("addresses", addresses);
}

void ReportEnvironment(Report& report) {
  std::vector<std::string> values;
  for (char** entry = environ; *entry != nullptr; ++entry) values.push_back(*entry);
  report.List("environment", values);
}

}  // namespace probe
