// JSON from strangers. V8 needs a microsecond for each value, validators more: four megabytes of brackets
// would keep the event loop busy for the better part of a second. So values are counted first: that is cheap.
// What is nested too deep can be parsed, but neither written again (JSON.stringify) nor read by SQLite.

/** Far more than the largest document that means something: an index of 4096 platforms has about 50,000. */
export const maxJsonValues = 65_536;

/** As many as SQLite reads. */
export const maxJsonDepth = 1000;

const quote = 0x22;
const backslash = 0x5c;
/** Each value but the first follows one of these, outside of strings: "[", "{", ",", ":". */
const leaders = new Set([0x5b, 0x7b, 0x2c, 0x3a]);
const openers = new Set([0x5b, 0x7b]);
const closers = new Set([0x5d, 0x7d]);

/**
 * Parses UTF-8 text. Throws as JSON.parse does, also for a byte order mark; a TypeError when the text is no
 * UTF-8, and a RangeError when it holds more than `maxJsonValues` values and names of members, or nests more
 * than `maxJsonDepth` of them.
 */
export function parseBoundedJson(bytes: Uint8Array): unknown {
  refuseMany(bytes);
  return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
}

function refuseMany(bytes: Uint8Array): void {
  let values = 1;
  let depth = 0;
  let inString = false;
  for (let at = 0; at < bytes.byteLength; at++) {
    const byte = bytes[at] as number;
    if (byte === quote) inString = !inString;
    else if (inString) at += byte === backslash ? 1 : 0;
    else if (closers.has(byte)) depth--;
    else if (leaders.has(byte)) {
      if (++values > maxJsonValues) throw new RangeError(`it holds more than ${maxJsonValues} values`);
      if (openers.has(byte) && ++depth > maxJsonDepth) {
        throw new RangeError(`it is nested deeper than ${maxJsonDepth} levels`);
      }
    }
  }
}
