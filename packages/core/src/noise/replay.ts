import { REJECT_AFTER_MESSAGES_HI, REJECT_AFTER_MESSAGES_LO } from './constants.js';

/**
 * The replay window: which of the last counters have been seen (RFC 6479; kernel receive.c).
 *
 * A ring of bits, one for each counter modulo its size, in words that are cleared as the newest counter moves into
 * them, so that nothing is ever shifted. Counters are 64 bits in two unsigned halves. All counters are kept one higher
 * than they are, so that zero means that none has been seen.
 */

/** Bits in the ring (kernel messages.h, COUNTER_BITS_TOTAL). */
const RING_BITS = 8192;
/** How far behind the newest a counter may be: the ring less one 64-bit word (kernel messages.h, COUNTER_WINDOW_SIZE). */
export const REPLAY_WINDOW = RING_BITS - 64;

const WORDS = RING_BITS / 32;
const WORD_MASK = WORDS - 1;

export class ReplayWindow {
  readonly #ring = new Uint32Array(WORDS);
  /** one more than the newest counter */
  #topHi = 0;
  #topLo = 0;

  /**
   * Whether the counter would be accepted: not seen, not too old, and below the limit of a keypair. Cheap enough to ask
   * before decrypting; only what has authenticated may be given to `accept`.
   */
  check(hi: number, lo: number): boolean {
    if (hi === REJECT_AFTER_MESSAGES_HI && lo >= REJECT_AFTER_MESSAGES_LO) return false;
    const nextLo = (lo + 1) >>> 0;
    const nextHi = nextLo === 0 ? hi + 1 : hi;
    if (nextHi > this.#topHi || (nextHi === this.#topHi && nextLo > this.#topLo)) return true;
    const age = (this.#topHi - nextHi) * 2 ** 32 + (this.#topLo - nextLo);
    if (age > REPLAY_WINDOW) return false;
    return (this.#ring[(nextLo >>> 5) & WORD_MASK]! & (1 << (nextLo & 31))) === 0;
  }

  /** Whether this is the newest counter accepted so far. */
  isNewest(hi: number, lo: number): boolean {
    const nextLo = (lo + 1) >>> 0;
    return nextLo === this.#topLo && (nextLo === 0 ? hi + 1 : hi) === this.#topHi;
  }

  /** Marks an authenticated counter as seen. @returns false, and marks nothing, when it must be dropped */
  accept(hi: number, lo: number): boolean {
    if (!this.check(hi, lo)) return false;
    const nextLo = (lo + 1) >>> 0;
    const nextHi = nextLo === 0 ? hi + 1 : hi;
    const word = nextLo >>> 5;
    if (nextHi > this.#topHi || (nextHi === this.#topHi && nextLo > this.#topLo)) {
      const topWord = this.#topLo >>> 5;
      const ahead = Math.min(WORDS, (nextHi - this.#topHi) * 2 ** 27 + (word - topWord));
      for (let i = 1; i <= ahead; i++) this.#ring[(topWord + i) & WORD_MASK] = 0;
      this.#topHi = nextHi;
      this.#topLo = nextLo;
    }
    this.#ring[word & WORD_MASK]! |= 1 << (nextLo & 31);
    return true;
  }
}
