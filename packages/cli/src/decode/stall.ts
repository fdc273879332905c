/**
 * Hands on what comes, and null once when nothing has come for a while: whoever shows a live capture then knows that it is
 * time to show what waited for more.
 * @param patience ms
 */
export async function* withStalls<T>(source: AsyncIterable<T>, patience: number): AsyncGenerator<T | null> {
  const items = source[Symbol.asyncIterator]();
  let next = items.next();
  try {
    for (;;) {
      let timer: NodeJS.Timeout | undefined;
      const stalled = new Promise<null>((resolve) => {
        timer = setTimeout(() => resolve(null), patience);
      });
      const first = await Promise.race([next, stalled]);
      clearTimeout(timer);
      const result = first ?? (yield null, await next);
      if (result.done === true) return;
      next = items.next();
      // Its failure is for the turn that waits for it.
      next.catch(() => undefined);
      yield result.value;
    }
  } finally {
    // Whoever leaves early does not wait for the item that is asked for already: it may never come. A source that has to be closed is closed by them.
    void items.return?.()?.catch(() => undefined);
  }
}
