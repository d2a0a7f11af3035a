// A static program for containers in tests: it reports what it sees from inside, and misbehaves on demand.

#include <cstdio>
#include <cstring>

#include "actions.h"
#include "report.h"

static int RunReport(bool json) {
  probe::Report report;
  probe::ReportProcess(report);
  probe::ReportIdentity(report);
  probe::ReportKernel(report);
  probe::ReportFiles(report);
  probe::ReportNetwork(report);
  probe::ReportEnvironment(report);
  report.Print(json);
  return fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char** argv) {
  const char* name = argc > 1 ? argv[1] : "report";
  if (strcmp(name, "report") == 0) return RunReport(argc > 2 && strcmp(argv[2], "--json") == 0);
  if (strcmp(name, "--json") == 0) return RunReport(true);
  const probe::Action* action = probe::FindAction(name);
  if (action == nullptr) {
    probe::PrintUsage();
    return 64;
  }
  return action->run(argc - 2, argv + 2);
}
