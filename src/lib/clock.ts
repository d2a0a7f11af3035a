/**
 * Microseconds since the epoch, from the wall clock (it follows clock changes, as container timestamps
 * must).
 */
export function nowMicros(): number {
  return Date.now() * 1000 + (Number(process.hrtime.bigint() / 1000n) % 1000);
}
