import { REKEY_TIMEOUT } from './constants.js';
import type { Keypair } from './keypair.js';

/**
 * A peer's keypairs: what it sends under, and what it still takes messages under (kernel noise.c).
 *
 * Theory of operation. `current` is what is sent under. `previous` is the one before, for messages that were on their
 * way when keys changed. `next` is one that we made as the responder and that the initiator has not yet used: we must
 * not send under it before that, because only its first authentic message shows that our response has arrived.
 *
 *     add, as initiator     previous ← next, if there is a young one, else current;   current ← new;   next ← none
 *     add, as responder     next ← new;   previous ← none
 *     first message on next previous ← current;   current ← next;   next ← none
 *
 * A `next` is young for REKEY_TIMEOUT. The initiator of such a keypair uses it at once, so one that is older never reached it, and messages that are still
 * on their way are under `current`. (The kernel demotes a `next` of any age, and loses those.)
 *
 * Whatever falls out of the three places is wiped and reported, so that its index can be given to someone else.
 */
export class KeypairSet {
  #previous: Keypair | null = null;
  #current: Keypair | null = null;
  #next: Keypair | null = null;
  readonly #dropped: (keypair: Keypair) => void;

  /** @param dropped told of each keypair that is no longer used, after it has been wiped */
  constructor(dropped: (keypair: Keypair) => void) {
    this.#dropped = dropped;
  }

  get previous(): Keypair | null {
    return this.#previous;
  }

  get current(): Keypair | null {
    return this.#current;
  }

  get next(): Keypair | null {
    return this.#next;
  }

  /** Takes in the keypair of a handshake that has just completed. */
  add(keypair: Keypair): void {
    const { previous, current, next } = this.#all();
    const isYoung = next !== null && keypair.birth - next.birth <= REKEY_TIMEOUT;
    if (keypair.isInitiator) this.#replace(isYoung ? next : current, keypair, null);
    else this.#replace(null, current, keypair);
    this.#dropUnused(previous, current, next);
  }

  /**
   * To be called for each authentic message.
   * @returns true when it was the first under `next`, which is now `current`: the handshake is confirmed
   */
  received(keypair: Keypair): boolean {
    if (keypair !== this.#next) return false;
    const { previous, current, next } = this.#all();
    this.#replace(current, next, null);
    this.#dropUnused(previous, current, next);
    return true;
  }

  /** Stops sending under the present keypairs, as when our own private key changes; messages are still taken. */
  expire(): void {
    if (this.#current !== null) this.#current.maySend = false;
    if (this.#next !== null) this.#next.maySend = false;
  }

  /** Drops all three. */
  clear(): void {
    const { previous, current, next } = this.#all();
    this.#replace(null, null, null);
    this.#dropUnused(previous, current, next);
  }

  #all() {
    return { previous: this.#previous, current: this.#current, next: this.#next };
  }

  #replace(previous: Keypair | null, current: Keypair | null, next: Keypair | null): void {
    this.#previous = previous;
    this.#current = current;
    this.#next = next;
  }

  #dropUnused(...keypairs: (Keypair | null)[]): void {
    for (const keypair of keypairs) {
      if (keypair === null) continue;
      if (keypair === this.#previous || keypair === this.#current || keypair === this.#next) continue;
      keypair.wipe();
      this.#dropped(keypair);
    }
  }
}
