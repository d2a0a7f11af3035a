// The probe's sub-commands other than "report". Each returns the exit code.
#pragma once

namespace probe {

struct Action {
  const char* name;
  const char* usage;
  int (*run)(int count, char** words);
};

/** The action of that name, or null. `words` passed to it exclude the name. */
const Action* FindAction(const char* name);
void PrintUsage();

/** "try-syscall NAME...": one line "NAME: ok" or "NAME: EPERM" for each; "all" tries every known one. */
int TrySyscalls(int count, char** words);
int Serve(int count, char** words);
int Connect(int count, char** words);

int Unmount(int count, char** words);
int Remount(int count, char** words);
int Mount(int count, char** words);

}  // namespace probe
