// The CRI numbers signals in the alphabetical order of their names; Linux does not.

import { Signal } from "../gen/runtime/v1/api.ts";
import { invalidField } from "./fields.ts";

// x86-64 and arm64 agree on these (asm-generic/signal.h). Real-time signals as the C library counts them:
// it keeps the kernel's 32 and 33 to itself.
const NUMBERS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGIOT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGSTKFLT: 16,
  SIGCHLD: 17,
  SIGCLD: 17,
  SIGCONT: 18,
  SIGSTOP: 19,
  SIGTSTP: 20,
  SIGTTIN: 21,
  SIGTTOU: 22,
  SIGURG: 23,
  SIGXCPU: 24,
  SIGXFSZ: 25,
  SIGVTALRM: 26,
  SIGPROF: 27,
  SIGWINCH: 28,
  SIGIO: 29,
  SIGPOLL: 29,
  SIGPWR: 30,
  SIGSYS: 31,
};
const RTMIN = 34;
const RTMAX = 64;

function linuxNumber(name: string): number {
  const realTime = /^SIGRT(MIN|MAX)(?:(?:PLUS|MINUS)(\d+))?$/.exec(name);
  if (realTime === null) return NUMBERS[name] as number;
  const offset = Number(realTime[2] ?? 0);
  return realTime[1] === "MIN" ? RTMIN + offset : RTMAX - offset;
}

/** Linux numbers by CRI number; 0 is no signal in both. */
const linuxByCri = new Map<number, number>([[Signal.SIGNAL_RUNTIME_DEFAULT, 0]]);
const criByLinux = new Map<number, Signal>([[0, Signal.SIGNAL_RUNTIME_DEFAULT]]);
for (const [key, cri] of Object.entries(Signal)) {
  if (!key.startsWith("SIGNAL_SIG")) continue;
  const linux = linuxNumber(key.slice("SIGNAL_".length));
  linuxByCri.set(cri, linux);
  // Of two names of one signal the table has the usual one first: SIGABRT before SIGIOT.
  if (!criByLinux.has(linux)) criByLinux.set(linux, cri);
}

/** The Linux number of a CRI signal; 0 when none was asked for. */
export function signalFromProto(value: number, path: string): number {
  const linux = linuxByCri.get(value);
  if (linux === undefined) throw invalidField(path, `is ${value}, which is no signal of the CRI`);
  return linux;
}

/** The CRI's number of a Linux signal; SIGNAL_RUNTIME_DEFAULT for what the CRI has no name for. */
export function signalToProto(linux: number): Signal {
  return criByLinux.get(linux) ?? Signal.SIGNAL_RUNTIME_DEFAULT;
}
