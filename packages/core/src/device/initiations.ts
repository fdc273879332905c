import { compareBytes } from '../noise/bytes.js';
import { REKEY_TIMEOUT } from '../noise/constants.js';
import type { Carrier } from '../stream/carrier.js';
import type { Connection } from '../stream/connection.js';
import type { Peer } from './peer.js';

/**
 * When initiations may go out to one peer, and which of two stands that crossed.
 *
 * Theory of operation. One handshake at a time, whichever end began it (kernel send.c): ours or theirs is given its chance first. On a connection that we
 * have just dialled an initiation is repeated once, early, because the kernel TCP module throws its first answer away.
 *
 * Both ends may initiate at once. Over TCP the lower static key then stays the initiator (KERNEL.md row 14): it does not answer the other's initiation while
 * its own is outstanding. No order of events leaves both waiting: the end whose initiation stands is the one that repeats first, and it stands
 * for a limited time only; after that it answers. Where both have answered each other (stock WireGuard over UDP has no such rule), the end with the higher
 * key waits for longer before it begins again.
 */

/** Least time between two initiations to one peer, ms: twice the receiver's flood guard (20 ms), because the network may bunch them. */
const INITIATION_SPACING = 40;
/** An initiation that is unanswered on a fresh TCP connection is repeated once after this, ms (KERNEL.md row 2). */
const FRESH_REPEAT = 1_000;
/** The same where the other end's initiation would stand if the two crossed, so that the repetitions do not cross again, ms. */
const FRESH_REPEAT_YIELDING = 1_500;
/**
 * Our initiation stands against the peer's for this long, ms, which is past its own repetition. A peer that still insists does not take ours, perhaps
 * because our wall clock was set back and it holds them for replays: then its own is answered.
 */
const TIE_PATIENCE = 1_250;
/** So much longer the end with the higher key waits when both have answered each other, ms: neither handshake completes then. */
const YIELDING_WAIT = 1_000;
/** Initiations unanswered for so long make the connection that they went out on suspect, ms: TCP would have delivered them. */
const SUSPECT_AFTER = REKEY_TIMEOUT;

export class Initiations {
  /** when one is to go out on a fresh connection, held back by the spacing or the one repetition, ms; Infinity for none */
  deferredAt = Infinity;
  /** before then none is begun that is not asked for by a connection, ms */
  notBefore = -Infinity;
  #deferredOn: Connection | null = null;
  /** when the last one was sent, and on what */
  #sentAt = -Infinity;
  #carrier: Carrier | null = null;
  /** since when they went unanswered on the carrier that the last one went out on */
  #unansweredSince = Infinity;
  /** since when ours, unanswered, stand against the peer's */
  #tiedSince = Infinity;

  constructor(private readonly peer: Peer) {}

  /** The earliest time for the next one, however much it is wanted: the receiver counts what comes sooner as a flood. */
  get spacedUntil(): number {
    return this.#sentAt + INITIATION_SPACING;
  }

  /** Whether the next one begins a new attempt rather than repeats the last. */
  isAnew(now: number): boolean {
    return this.peer.handshake.state !== 'initiationCreated' || now >= this.#sentAt + 2 * REKEY_TIMEOUT;
  }

  /**
   * One went out. @param anew as `isAnew` said before it was made
   * @returns whether so many have gone unanswered that the connection is suspect
   */
  sent(now: number, carrier: Carrier, anew: boolean): boolean {
    this.#sentAt = now;
    this.notBefore = this.peer.timers.retryHandshake;
    if (anew) this.#tiedSince = Infinity;
    const isRepeated = carrier === this.#carrier;
    let suspect = false;
    if (!isRepeated || this.#unansweredSince === Infinity) this.#unansweredSince = now;
    else suspect = this.#isSilent(now, carrier);
    this.#carrier = carrier;
    this.deferredAt = Infinity;
    if (carrier.transport === 'tcp' && !isRepeated) {
      const connection = carrier as Connection;
      const isFresh = connection.lastReceived === -Infinity && connection.direction === 'outbound';
      if (isFresh) this.defer(connection, now + this.#freshRepeat);
    }
    return suspect;
  }

  /** Whether they keep going out on a connection on which nothing has come for as long. */
  #isSilent(now: number, carrier: Carrier): boolean {
    if (carrier.transport !== 'tcp') return false;
    return now >= Math.max(this.#unansweredSince, (carrier as Connection).lastReceived) + SUSPECT_AFTER;
  }

  /** Whether ours went out less than REKEY_TIMEOUT ago and is unanswered. */
  isOutstanding(now: number): boolean {
    return this.peer.handshake.state === 'initiationCreated' && now < this.#sentAt + REKEY_TIMEOUT;
  }

  /** Whether our outstanding one stands against one of the peer's that crosses it. */
  standsInTie(now: number): boolean {
    return this.#isLower && this.isOutstanding(now) && now < this.#tiedSince + TIE_PATIENCE;
  }

  /** The peer's gave way to ours, on this connection. */
  tied(now: number, connection: Connection): void {
    this.#tiedSince = Math.min(this.#tiedSince, now);
    // Ours may have gone out on a path that leads nowhere, while this connection works: there it will reach the peer.
    this.defer(connection, Math.max(now, this.#sentAt + this.#freshRepeat));
  }

  /** Has one go out on this connection later, if it is still of use then. */
  defer(connection: Connection, at: number): void {
    this.#deferredOn = connection;
    this.deferredAt = at;
    this.peer.device.touch(this.peer);
  }

  /** What was deferred is due. @returns the connection that it is to go out on, or null when that is gone */
  takeDeferred(): Connection | null {
    const connection = this.#deferredOn;
    this.deferredAt = Infinity;
    this.#deferredOn = null;
    return connection?.isUsable === true ? connection : null;
  }

  /** New keys, by either role. */
  sessionDerived(now: number, responded: boolean): void {
    if (responded) this.notBefore = now + REKEY_TIMEOUT + (this.#isLower ? 0 : YIELDING_WAIT);
    this.#unansweredSince = this.#tiedSince = Infinity;
    this.deferredAt = Infinity;
  }

  /** A handshake is complete at this end. */
  completed(): void {
    this.#carrier = null;
    this.deferredAt = Infinity;
  }

  /** Our own key is another one: what was sent or answered under the old one holds nothing up. */
  forget(): void {
    this.#sentAt = this.notBefore = -Infinity;
    this.#unansweredSince = this.#tiedSince = Infinity;
  }

  /** Whether it is this end that gives way where both would begin at the same time. */
  get yields(): boolean {
    return !this.#isLower;
  }

  get #isLower(): boolean {
    const { identity } = this.peer.device;
    return identity !== null && compareBytes(identity.publicKey, this.peer.publicKey) < 0;
  }

  get #freshRepeat(): number {
    return this.#isLower ? FRESH_REPEAT : FRESH_REPEAT_YIELDING;
  }
}
