// Kubernetes quantities ("10M", "1Gi", "500k", "2e6"), as the bandwidth annotations write them.

import { BerthError } from "../lib/errors.ts";

const multipliers: Readonly<Record<string, number>> = {
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 1024,
  Mi: 1024 ** 2,
  Gi: 1024 ** 3,
  Ti: 1024 ** 4,
  Pi: 1024 ** 5,
};
const smallest = 1e3;
const largest = 1e15;

/** Bits per second, between 1k and 1P as the kubelet demands. `name` is for the error (INVALID_ARGUMENT). */
export function parseBandwidth(name: string, text: string): number {
  const match = /^\+?(\d{1,18}(?:\.\d{0,9})?|\.\d{1,9})(?:[eE](\+?\d{1,2})|([kMGTP]i?|Ki)?)$/.exec(text);
  const multiplier = multipliers[match?.[3] ?? ""];
  if (match !== null && multiplier !== undefined) {
    const value = Math.ceil(Number(match[1]) * multiplier * 10 ** Number(match[2] ?? "0"));
    if (value >= smallest && value <= largest) return value;
  }
  throw new BerthError(
    "INVALID_ARGUMENT",
    `annotation "${name}" is "${text.slice(0, 64)}"; expected bits per second from 1k to 1P, such as "10M"`,
  );
}
