import { RATE_BURST, RATE_FORGET_AFTER, RATE_PER_SECOND, RATE_SOURCES_MAX } from './constants.js';

interface Bucket {
  /** monotonic ms */
  last: number;
  /** ms worth of messages */
  tokens: number;
}

/** What a message costs, in ms: tokens grow by one ms each ms. */
const COST = 1000 / RATE_PER_SECOND;
const TOKENS_MAX = COST * RATE_BURST;

/**
 * Rations handshake messages per source: 20 in a second, 5 of them at once (kernel ratelimiter.c). A source is what
 * `sourceKey` of address/endpoint.ts makes of an address. Memory is bounded: when the table is full, new sources are
 * refused until silent ones have been forgotten, once a second.
 */
export class RateLimiter {
  readonly #buckets = new Map<string, Bucket>();
  readonly #max: number;
  #sweptAt = -Infinity;

  /** @param max sources that are remembered at once */
  constructor(max = RATE_SOURCES_MAX) {
    this.#max = max;
  }

  /** Sources that are remembered now. */
  get size(): number {
    return this.#buckets.size;
  }

  /** Whether one more message from this source may be worked on. @param now monotonic ms */
  allow(source: string, now: number): boolean {
    this.#sweepIfDue(now);
    const bucket = this.#buckets.get(source);
    if (bucket === undefined) {
      if (this.#buckets.size >= this.#max) return false;
      this.#buckets.set(source, { last: now, tokens: TOKENS_MAX - COST });
      return true;
    }
    const tokens = Math.min(TOKENS_MAX, bucket.tokens + now - bucket.last);
    bucket.last = now;
    const allowed = tokens >= COST;
    bucket.tokens = allowed ? tokens - COST : tokens;
    return allowed;
  }

  #sweepIfDue(now: number): void {
    if (now < this.#sweptAt + RATE_FORGET_AFTER) return;
    this.#sweptAt = now;
    for (const [source, bucket] of this.#buckets) {
      if (now - bucket.last > RATE_FORGET_AFTER) this.#buckets.delete(source);
    }
  }
}
