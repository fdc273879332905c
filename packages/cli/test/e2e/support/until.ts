export interface Patience {
  /** ms until it is given up */
  readonly deadline?: number;
  /** ms between two looks */
  readonly every?: number;
}

/**
 * Looks again and again until what is awaited is there (anything but undefined, null and false).
 * @param what for the message when it never comes
 * @returns it
 */
export async function until<T>(
  what: string,
  probe: () => Promise<T> | T,
  { deadline = 10_000, every = 50 }: Patience = {},
): Promise<Exclude<T, undefined | null | false>> {
  const end = performance.now() + deadline;
  for (;;) {
    let trouble: unknown;
    try {
      const found = await probe();
      if (found !== undefined && found !== null && found !== false) {
        return found as Exclude<T, undefined | null | false>;
      }
    } catch (error) {
      trouble = error;
    }
    if (performance.now() >= end) {
      const reason = trouble instanceof Error ? `: ${trouble.message}` : '';
      throw new Error(`waited ${deadline} ms in vain for ${what}${reason}`);
    }
    await pause(every);
  }
}

/** Lets a scenario's own time pass: how long a link is down, how long somebody is silent. Not for waiting on events. */
export async function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
