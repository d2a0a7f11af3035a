// Progress on its way to a client: the latest of each object, now and then. A client that reads slowly gets
// fewer messages, not old ones.

/** Milliseconds between two messages. */
const INTERVAL = 80;

/**
 * Runs `work`, sending what it tells by `tell(key, item)`: of each key the last item, at most every 80 ms and
 * once more at the end. Rejects when `work` or the sending does.
 */
export async function withNews<Item, Result>(
  send: (items: Item[]) => Promise<void>,
  work: (tell: (key: string, item: Item) => void) => Promise<Result>,
): Promise<Result> {
  const news = new Map<string, Item>();
  let sending: Promise<void> | null = null;
  let failure: unknown;
  const flush = async () => {
    const items = [...news.values()];
    news.clear();
    if (items.length > 0) await send(items);
  };
  const timer = setInterval(() => {
    sending ??= flush()
      .catch((error: unknown) => {
        failure ??= error;
      })
      .finally(() => {
        sending = null;
      });
  }, INTERVAL);
  try {
    const result = await work((key, item) => void news.set(key, item));
    await sending;
    if (failure !== undefined) throw failure;
    await flush();
    return result;
  } finally {
    clearInterval(timer);
  }
}
