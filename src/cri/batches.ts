// The Stream* calls: a list in pieces, so that no single message outgrows a client's limit.

/** Items per message: a few hundred kilobytes of containers with long annotations. */
const BATCH = 100;

/** `items` in pieces of at least one, each item exactly once; nothing for an empty list. */
export function* batches<T>(items: readonly T[]): Iterable<T[]> {
  for (let start = 0; start < items.length; start += BATCH) yield items.slice(start, start + BATCH);
}
