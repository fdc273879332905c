/** First delay of a re-dial, ms (DESIGN: 0.5 s doubling to 30 s). */
export const BACKOFF_FIRST = 500;
/** Longest delay, ms. */
export const BACKOFF_MAX = 30_000;
/** How much of a delay the jitter may take away. It never adds, so that the longest delay is a promise. */
const JITTER = 0.25;

/** Delays that double from `first` to `max`, each shortened by up to a quarter so that many peers do not dial in step. */
export class Backoff {
  #delay = 0;

  constructor(
    private readonly first = BACKOFF_FIRST,
    private readonly max = BACKOFF_MAX,
  ) {}

  /** Whether the next delay is the first. */
  get isFresh(): boolean {
    return this.#delay === 0;
  }

  /** The next delay, ms. @param random uniform in [0, 1) @param cap longest delay for the time being, ms */
  next(random: number, cap = this.max): number {
    this.#delay = Math.min(this.#delay === 0 ? this.first : this.#delay * 2, cap);
    return this.#delay * (1 - JITTER * random);
  }

  /** The delay that was last given, without its jitter; 0 when fresh. */
  get current(): number {
    return this.#delay;
  }

  reset(): void {
    this.#delay = 0;
  }
}
