// Signals by name and number.

import { constants } from "node:os";
import { BerthError } from "../lib/errors.ts";

const SIGTERM = 15;
const SIGRTMIN = 34;
const SIGRTMAX = 64;

/**
 * The signal that stops a container: of its config (a Linux signal number), else of its image (a name such
 * as "SIGQUIT", "QUIT" or "SIGRTMIN+3", or a number), else SIGTERM.
 */
export function stopSignalOf(configured: number, imageSignal: string): number {
  if (configured !== 0) return checkedSignal(configured, String(configured));
  if (imageSignal.trim() === "") return SIGTERM;
  return parseSignal(imageSignal);
}

/** INVALID_ARGUMENT when `text` is no signal. */
export function parseSignal(text: string): number {
  const name = text.trim().toUpperCase().replace(/^SIG/, "");
  if (/^\d{1,3}$/.test(name)) return checkedSignal(Number(name), text);
  const realtime = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (realtime !== null) {
    const offset = Number(realtime[3] ?? 0) * (realtime[2] === "-" ? -1 : 1);
    const number = (realtime[1] === "MIN" ? SIGRTMIN : SIGRTMAX) + offset;
    if (number < SIGRTMIN || number > SIGRTMAX) throw notASignal(text);
    return number;
  }
  const known: Record<string, number | undefined> = constants.signals;
  return known[`SIG${name}`] ?? checkedSignal(0, text);
}

function checkedSignal(number: number, text: string): number {
  if (Number.isInteger(number) && number >= 1 && number <= SIGRTMAX) return number;
  throw notASignal(text);
}

function notASignal(text: string): BerthError {
  return new BerthError("INVALID_ARGUMENT", `stop signal "${text}": no such signal`);
}
