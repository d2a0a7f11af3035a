import { editDistance, nearest } from "../../lib/nearest.ts";

/** The candidate that was probably meant, or undefined when none is near enough. */
export function suggestion(word: string, candidates: readonly string[]): string | undefined {
  const best = nearest(word, candidates);
  return best !== "" && editDistance(word, best) <= Math.min(2, word.length - 1) ? best : undefined;
}
