// Long work on the event loop, in pieces between which everything else has its turn. All such work shares one
// piece per turn: ten lists at once stall nobody longer than one.

/** Milliseconds that a piece takes. What follows it, and a collection of garbage, come on top. */
const PIECE_MS = 0.4;

const waiting: (() => void)[] = [];
/** performance.now() at which the piece of the turn that was given last is over. */
let until = 0;

function giveTurn(): void {
  until = performance.now() + PIECE_MS;
  waiting.shift()?.();
  if (waiting.length > 0) setImmediate(giveTurn);
}

/** Resolves in a turn of the event loop that nobody else is given. They come in the order of asking. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    if (waiting.length === 1) setImmediate(giveTurn);
  });
}

/**
 * Does `work` for each item in order, and waits for a turn of its own whenever the piece of this one is over.
 * Items that are added meanwhile are worked on too. Rejects with what `work` throws; later items are left
 * then.
 */
export async function inTurns<T>(items: Iterable<T>, work: (item: T) => void): Promise<void> {
  for (const item of items) {
    if (performance.now() >= until) await nextTurn();
    work(item);
  }
}

/** The items one by one, as far as the piece goes. See inTurns. */
export async function* eachInTurns<T>(items: Iterable<T>): AsyncGenerator<T, void> {
  for (const item of items) {
    if (performance.now() >= until) await nextTurn();
    yield item;
  }
}

/** Starts `work` for each item in turns, and waits for all of them. Rejects with the first failure. */
export async function allInTurns<T>(items: Iterable<T>, work: (item: T) => Promise<unknown>): Promise<void> {
  const failures: unknown[] = [];
  const started = await mapInTurns(items, (item) => work(item).catch((error) => failures.push(error)));
  await Promise.all(started);
  if (failures.length > 0) throw failures[0];
}

/** The items that fit, in order. See inTurns. */
export async function filterInTurns<T>(items: Iterable<T>, fits: (item: T) => boolean): Promise<T[]> {
  const found: T[] = [];
  await inTurns(items, (item) => {
    if (fits(item)) found.push(item);
  });
  return found;
}

/** What `make` makes of each item, in order. See inTurns. */
export async function mapInTurns<T, R>(items: Iterable<T>, make: (item: T) => R): Promise<R[]> {
  const made: R[] = [];
  await inTurns(items, (item) => made.push(make(item)));
  return made;
}
