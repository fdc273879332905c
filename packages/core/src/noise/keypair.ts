import { TRANSPORT_HEADER_LENGTH, TRANSPORT_MIN_LENGTH, TRANSPORT_OVERHEAD } from '../messages/constants.js';
import { counterHi, counterLo } from '../messages/parse.js';
import type { Slab } from '../slab/slab.js';
import { wipe } from './bytes.js';
import {
  REJECT_AFTER_MESSAGES_HI,
  REJECT_AFTER_MESSAGES_LO,
  REJECT_AFTER_TIME,
  REKEY_AFTER_MESSAGES_HI,
} from './constants.js';
import type { Crypto, TransportCipher } from './crypto.js';
import type { SessionKeys } from './handshake.js';
import { ReplayWindow } from './replay.js';

export { KeypairSet } from './keypairs.js';

/** `Keypair.open` found that the message is not authentic. */
export const OPEN_FORGED = -1;
/** `Keypair.open` found a counter that was seen before or is too old. */
export const OPEN_REPLAYED = -2;

/**
 * The transport keys of one completed handshake, one for each direction, with all that must never be used twice: the
 * counter of the next message to send, and the window of counters received.
 */
export class Keypair {
  readonly localIndex: number;
  readonly remoteIndex: number;
  readonly isInitiator: boolean;
  /** monotonic ms at which the handshake completed */
  readonly birth: number;
  readonly send: TransportCipher;
  readonly receive: TransportCipher;
  readonly replay = new ReplayWindow();
  /** The counter that the last `nextCounter` took, upper and lower half. */
  counterHi = 0;
  counterLo = 0;
  /** The counter that the next message will take. */
  nextHi = 0;
  nextLo = 0;
  /** False when nothing more may be sent under this keypair, though messages under it are still taken. */
  maySend = true;
  #wiped = false;

  /** Takes the keys over and wipes the arrays. @param now monotonic ms */
  constructor(crypto: Crypto, keys: SessionKeys, now: number) {
    this.localIndex = keys.localIndex;
    this.remoteIndex = keys.remoteIndex;
    this.isInitiator = keys.isInitiator;
    this.birth = now;
    this.send = crypto.cipher(keys.send);
    this.receive = crypto.cipher(keys.receive);
    wipe(keys.send, keys.receive);
  }

  get isWiped(): boolean {
    return this.#wiped;
  }

  /** Too old to send or receive anything under (paper §6.2). */
  isExpired(now: number): boolean {
    return now - this.birth >= REJECT_AFTER_TIME;
  }

  /** Whether a message may be sealed now: keys valid, young enough, counters left. */
  canSend(now: number): boolean {
    return this.maySend && !this.#wiped && !this.isExpired(now) && !this.#isExhausted();
  }

  /** Whether messages under this keypair are still taken. */
  canReceive(now: number): boolean {
    return !this.#wiped && !this.isExpired(now);
  }

  /** Whether so many messages have been sent that a new handshake is due (paper §6.2, kernel send.c). */
  get wantsRekeyAfterSending(): boolean {
    return this.nextHi >= REKEY_AFTER_MESSAGES_HI;
  }

  /**
   * Takes the next sending counter, which is then in `counterHi` and `counterLo` and must be used for one message only.
   * @throws RangeError when there is none; `canSend` has told
   */
  nextCounter(): void {
    if (this.#wiped || this.#isExhausted()) throw new RangeError('no sending counter left under this keypair');
    this.counterHi = this.nextHi;
    this.counterLo = this.nextLo;
    this.nextLo = (this.nextLo + 1) >>> 0;
    if (this.nextLo === 0) this.nextHi++;
  }

  /**
   * Opens the transport message of `length` bytes at src[offset] into dst[dstOffset], and marks its counter as seen.
   * @returns the length of the packet, 0 for a keepalive; or OPEN_FORGED or OPEN_REPLAYED, and then what the
   * destination holds must not be used
   */
  open(src: Slab, offset: number, length: number, dst: Slab, dstOffset: number): number {
    if (this.#wiped || length < TRANSPORT_MIN_LENGTH) return OPEN_FORGED;
    const hi = counterHi(src.bytes, offset);
    const lo = counterLo(src.bytes, offset);
    // A counter that would be refused anyway is not worth decrypting.
    if (!this.replay.check(hi, lo)) return OPEN_REPLAYED;
    const at = offset + TRANSPORT_HEADER_LENGTH;
    if (!this.receive.open(hi, lo, src, at, length - TRANSPORT_HEADER_LENGTH, dst, dstOffset)) return OPEN_FORGED;
    this.replay.accept(hi, lo);
    return length - TRANSPORT_OVERHEAD;
  }

  /** Forgets both keys. Nothing can be sealed or opened afterwards. */
  wipe(): void {
    if (this.#wiped) return;
    this.#wiped = true;
    this.maySend = false;
    this.send.wipe();
    this.receive.wipe();
  }

  #isExhausted(): boolean {
    return this.nextHi === REJECT_AFTER_MESSAGES_HI && this.nextLo >= REJECT_AFTER_MESSAGES_LO;
  }
}
