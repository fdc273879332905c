import { KEEPALIVE_TIMEOUT, REKEY_ATTEMPT_TIME, REKEY_TIMEOUT, WIPE_AFTER_TIME } from '../noise/constants.js';

/**
 * One peer's WireGuard timers (paper §6, kernel timers.c), as deadlines: nothing runs by itself. What happened is told by the
 * methods; `expired` says what is due.
 */

/** Jitter added to the handshake retry, ms (paper §6.1; kernel: a third of a second). */
export const REKEY_TIMEOUT_JITTER_MAX = 333;
/** Handshake attempts before giving up: 90 s / 5 s (kernel timers.h MAX_TIMER_HANDSHAKES). */
export const HANDSHAKE_ATTEMPTS_MAX = REKEY_ATTEMPT_TIME / REKEY_TIMEOUT;

export type TimerName = 'retry-handshake' | 'send-keepalive' | 'new-handshake' | 'wipe-keys' | 'persistent-keepalive';

export class PeerTimers {
  retryHandshake = Infinity;
  sendKeepalive = Infinity;
  newHandshake = Infinity;
  wipeKeys = Infinity;
  persistent = Infinity;

  /** seconds; 0 when off */
  persistentInterval = 0;
  /** initiations sent again since the first */
  attempts = 0;
  /** whether the one handshake that receiving may start near the end of a keypair was started */
  sentLastMinuteHandshake = false;
  #needAnotherKeepalive = false;

  /** @param random uniform in [0, 1), for the jitter */
  constructor(private readonly random: () => number) {}

  /** The earliest deadline; Infinity when none is set. */
  next(): number {
    return Math.min(this.retryHandshake, this.sendKeepalive, this.newHandshake, this.wipeKeys, this.persistent);
  }

  /** Takes the timer that is due first, if any is due, and clears it. */
  expired(now: number): TimerName | null {
    const at = this.next();
    if (at > now) return null;
    if (at === this.retryHandshake) {
      this.retryHandshake = Infinity;
      return 'retry-handshake';
    }
    if (at === this.sendKeepalive) {
      this.sendKeepalive = Infinity;
      if (this.#needAnotherKeepalive) {
        this.#needAnotherKeepalive = false;
        this.sendKeepalive = now + KEEPALIVE_TIMEOUT;
      }
      return 'send-keepalive';
    }
    if (at === this.newHandshake) {
      this.newHandshake = Infinity;
      return 'new-handshake';
    }
    if (at === this.persistent) {
      this.persistent = Infinity;
      return 'persistent-keepalive';
    }
    this.wipeKeys = Infinity;
    return 'wipe-keys';
  }

  /** A packet with data in it was sent. */
  dataSent(now: number): void {
    if (this.newHandshake === Infinity) {
      this.newHandshake = now + KEEPALIVE_TIMEOUT + REKEY_TIMEOUT + this.random() * REKEY_TIMEOUT_JITTER_MAX;
    }
  }

  /** A packet with data in it was received. */
  dataReceived(now: number): void {
    if (this.sendKeepalive === Infinity) this.sendKeepalive = now + KEEPALIVE_TIMEOUT;
    else this.#needAnotherKeepalive = true;
  }

  /** Any authenticated message was sent: data, keepalive or handshake. */
  anySent(): void {
    this.sendKeepalive = Infinity;
  }

  /** Any authenticated message was received. */
  anyReceived(): void {
    this.newHandshake = Infinity;
  }

  /** Any authenticated message went either way. */
  anyTraversal(now: number): void {
    if (this.persistentInterval > 0) this.persistent = now + this.persistentInterval * 1000;
  }

  initiationSent(now: number): void {
    this.retryHandshake = now + REKEY_TIMEOUT + this.random() * REKEY_TIMEOUT_JITTER_MAX;
  }

  handshakeComplete(): void {
    this.retryHandshake = Infinity;
    this.attempts = 0;
    this.sentLastMinuteHandshake = false;
  }

  sessionDerived(now: number): void {
    this.wipeKeys = now + WIPE_AFTER_TIME;
  }

  /** Handshakes went unanswered for so long that trying ends; keys go some time later. */
  gaveUp(now: number): void {
    this.sendKeepalive = Infinity;
    if (this.wipeKeys === Infinity) this.wipeKeys = now + WIPE_AFTER_TIME;
  }

  /** Forgets everything but the interval (device down, peer removed). */
  clear(): void {
    this.retryHandshake = this.sendKeepalive = this.newHandshake = this.wipeKeys = this.persistent = Infinity;
    this.attempts = 0;
    this.sentLastMinuteHandshake = false;
    this.#needAnotherKeepalive = false;
  }
}
