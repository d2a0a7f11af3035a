/**
 * Whether something that happened `at` (microseconds since the epoch) is at least `ageMicros` old. What lies
 * further than that in the future happened before the clock was set back: it counts as old, else it would
 * stay young until the clock is there again.
 */
export function isOld(at: number, ageMicros: number, now = nowMicros()): boolean {
  return at <= now - ageMicros || at > now + ageMicros;
}

/**
 * Microseconds since the epoch, from the wall clock (it follows clock changes, as container timestamps
 * must).
 */
export function nowMicros(): number {
  return Date.now() * 1000 + (Number(process.hrtime.bigint() / 1000n) % 1000);
}
