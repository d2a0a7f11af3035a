// Inputs that are nearly right: what parsers of hostile text are most easily led astray by.

import { seededRandom } from "../support/random.ts";

/** Runs per target: a fixed budget here, more by hand (BERTH_FUZZ_RUNS=1000000, BERTH_SEED=…). */
export const RUNS = Number(process.env.BERTH_FUZZ_RUNS ?? 3000);
export const SEED = Number(process.env.BERTH_SEED ?? 20_260_101);

const PIECES = [
  "",
  " ",
  "\0",
  "\n",
  "\r\n",
  "\t",
  '"',
  "'",
  "\\",
  "/",
  "//",
  "..",
  ":",
  "@",
  ",",
  ";",
  "=",
  "[",
  "]",
  "{",
  "}",
  "%00",
  "%2f",
  "é",
  "\u202e",
  "\ud800",
  "-1",
  "0",
  "9007199254740993",
  "1e999",
  "null",
  "true",
  "__proto__",
  "constructor",
  "sha256:",
  "a".repeat(300),
  "[".repeat(200),
  '{"a":'.repeat(100),
];

/** Calls `target` with mutations of the seeds. What it throws names the input and how to get it again. */
export function fuzz(seeds: readonly string[], target: (text: string) => void): void {
  const random = seededRandom(SEED);
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T;
  const at = (text: string) => Math.floor(random() * (text.length + 1));
  const mutations: ((text: string) => string)[] = [
    (text) => text.slice(0, at(text)),
    (text) => text.slice(at(text)),
    (text) => {
      const place = at(text);
      return text.slice(0, place) + pick(PIECES) + text.slice(place);
    },
    (text) => {
      const [a = 0, b = 0] = [at(text), at(text)].sort((x, y) => x - y);
      return text.slice(0, a) + text.slice(b);
    },
    (text) => {
      const [a = 0, b = 0] = [at(text), at(text)].sort((x, y) => x - y);
      return text.slice(0, b) + text.slice(a, b) + text.slice(b);
    },
    (text) => {
      const place = at(text);
      return text.slice(0, place) + String.fromCharCode(Math.floor(random() * 256)) + text.slice(place + 1);
    },
    (text) => text + pick(seeds),
    (text) => text.replace(/\d+/, () => pick(["-1", "0", "1e309", "99999999999999999999", '"7"', "[]"])),
  ];
  for (let run = 0; run < RUNS; run++) {
    let text = pick(seeds);
    for (let n = Math.floor(random() * 4); n >= 0; n--) text = pick(mutations)(text).slice(0, 20_000);
    try {
      target(text);
    } catch (error) {
      throw new Error(`input ${run} of seed ${SEED}: ${JSON.stringify(text)}`, { cause: error });
    }
  }
}
