import { constants } from "node:os";
import { expect, it } from "vitest";
import { signalFromProto, signalToProto } from "../../../src/cri/signals.ts";
import { Signal } from "../../../src/gen/runtime/v1/api.ts";

const named = Object.entries(Signal).filter(([key]) => key.startsWith("SIGNAL_SIG"));

it("gives every CRI signal the number that this system has for its name", () => {
  for (const [key, cri] of named.filter(([key]) => !/RT|SIGCLD/.test(key))) {
    const name = key.slice("SIGNAL_".length) as keyof typeof constants.signals;
    expect([name, signalFromProto(cri, "stop_signal")]).toEqual([name, constants.signals[name]]);
  }
  expect(signalFromProto(Signal.SIGNAL_SIGCLD, "")).toBe(constants.signals.SIGCHLD);
});

it("numbers the real-time signals from both ends", () => {
  const { SIGNAL_SIGRTMIN, SIGNAL_SIGRTMINPLUS15, SIGNAL_SIGRTMAXMINUS14, SIGNAL_SIGRTMAX } = Signal;
  const ends = [SIGNAL_SIGRTMIN, SIGNAL_SIGRTMINPLUS15, SIGNAL_SIGRTMAXMINUS14, SIGNAL_SIGRTMAX];
  expect(ends.map((cri) => signalFromProto(cri, ""))).toEqual([34, 49, 50, 64]);
});

it("finds the way back, and the usual one of two names", () => {
  for (const [, cri] of named) {
    const linux = signalFromProto(cri, "");
    expect(signalFromProto(signalToProto(linux), "")).toBe(linux);
  }
  expect(signalToProto(6)).toBe(Signal.SIGNAL_SIGABRT);
  expect(signalToProto(0)).toBe(Signal.SIGNAL_RUNTIME_DEFAULT);
  expect(signalToProto(32)).toBe(Signal.SIGNAL_RUNTIME_DEFAULT);
});

it("refuses other numbers", () => {
  for (const value of [-1, 66, 1000]) {
    expect(() => signalFromProto(value, "config.stop_signal")).toThrow('"config.stop_signal"');
  }
});
