import { BACKOFF_FIRST, BACKOFF_MAX, Backoff } from './backoff.js';

/**
 * When one peer is dialled again.
 *
 * Theory of operation. A connection that had been of use is replaced at once; one that was lost soon after it had authenticated, after delays that grow
 * from a tenth of a second. Dials that fail are repeated after delays from half a second to half a minute, which stay short as long as the other end
 * is likely to be back soon: within RESTART_WINDOW of its loss, and within YOUNG_WINDOW of the first failure. Delays count from the beginning of
 * the dial before, so that the longest delay is also the longest time that a listener which came back has to wait. Whoever dialled dials again; the other
 * end holds back for INBOUND_GRACE.
 */

/** A dial without an answer is given up after the current backoff delay, but not before and not later than this, ms. */
const DIAL_TIMEOUT_MIN = 2_000;
const DIAL_TIMEOUT_MAX = 10_000;
/** A connection that the peer dialled was lost and ours may be wanted: time for the peer's own re-dial to come first, ms. */
const INBOUND_GRACE = 50;
/** First delay after an authenticated connection that did not live long, ms. */
const QUICK_FIRST = 100;
/** A connection that lived this long was no quick loss, ms. */
const LIVED = 5_000;
/**
 * For so long after an authenticated connection was lost its other end may be restarting, ms: dials are repeated at the first
 * delay, without growing ones, so that a device that comes back is reached within a second.
 */
const RESTART_WINDOW = 10_000;
/** Dials fail for so long before the delays between them grow past YOUNG_MAX, ms: most absences are short. */
const YOUNG_WINDOW = 10_000;
const YOUNG_MAX = 2_000;

export class Redial {
  /** when to dial again, ms; Infinity when nothing waits */
  at = Infinity;
  #startedAt = -Infinity;
  /** when a connection was lost that the peer had authenticated on */
  #lostAt = -Infinity;
  /** when the first of the dials failed that have failed in a row */
  #failingSince = -Infinity;
  readonly #backoff = new Backoff();
  readonly #quick = new Backoff(QUICK_FIRST);

  /** @param random uniform in [0, 1) */
  constructor(private readonly random: () => number) {}

  /** Whether a dial may begin now. */
  permits(now: number): boolean {
    return this.at === Infinity || now >= this.at;
  }

  /** A dial begins. @returns how long its answer is waited for, ms */
  begun(now: number): number {
    this.at = Infinity;
    this.#startedAt = now;
    return Math.min(Math.max(this.#backoff.current, DIAL_TIMEOUT_MIN), DIAL_TIMEOUT_MAX);
  }

  /** The peer was reached, or should be tried anew: nothing that failed before counts. */
  reset(): void {
    this.#backoff.reset();
    this.at = Infinity;
  }

  /** The dial led to nothing: refused, unanswered, or nobody authenticated on its connection. */
  failed(now: number): void {
    if (this.#backoff.isFresh) this.#failingSince = now;
    const cap =
      now < this.#lostAt + RESTART_WINDOW
        ? BACKOFF_FIRST
        : now < this.#failingSince + YOUNG_WINDOW
          ? YOUNG_MAX
          : BACKOFF_MAX;
    this.at = Math.max(now, this.#startedAt + this.#backoff.next(this.random(), cap));
  }

  /** A connection was lost. @param authenticatedAt since when it had been authenticated, ms; -Infinity for never */
  lost(now: number, authenticatedAt: number): void {
    if (now - authenticatedAt >= LIVED) this.#quick.reset();
    if (authenticatedAt !== -Infinity) this.#lostAt = now;
  }

  /** It was the last, and had been authenticated. @param dialled whether it was us who dialled it */
  nothingLeft(now: number, authenticatedAt: number, dialled: boolean): void {
    const lived = now - authenticatedAt >= LIVED;
    this.at = now + (lived && dialled ? 0 : dialled ? this.#quick.next(this.random()) : INBOUND_GRACE);
  }
}
