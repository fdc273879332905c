import { ACK_TIMEOUT, ACK_TIMEOUT_MAX, ACK_TIMEOUT_MIN } from './constants.js';

/** Measures the round trip of one flow and says how long to wait for an acknowledgement (RFC 6298). */
export class RoundTrip {
  /** ms; 0 before the first measurement */
  smoothed = 0;
  #variance = 0;
  #sentAt = 0;
  #until = -1;

  /** Begins a measurement with data up to stream offset `until`, unless one is running. */
  sent(now: number, until: number): void {
    if (this.#until >= 0) return;
    this.#sentAt = now;
    this.#until = until;
  }

  acknowledged(now: number, offset: number): void {
    if (this.#until < 0 || offset < this.#until) return;
    this.#until = -1;
    const sample = now - this.#sentAt;
    if (this.smoothed === 0) {
      this.smoothed = Math.max(sample, 0.01);
      this.#variance = sample / 2;
    } else {
      this.#variance = 0.75 * this.#variance + 0.25 * Math.abs(this.smoothed - sample);
      this.smoothed = 0.875 * this.smoothed + 0.125 * sample;
    }
  }

  /** Something was sent again: an acknowledgement could now be of either copy (Karn's algorithm). */
  cancel(): void {
    this.#until = -1;
  }

  /** How long to wait after `backoff` waits in vain, ms. */
  timeout(backoff: number): number {
    let wait = ACK_TIMEOUT;
    if (this.smoothed > 0) {
      wait = Math.min(ACK_TIMEOUT, Math.max(ACK_TIMEOUT_MIN, this.smoothed + 4 * this.#variance));
    }
    return Math.min(wait * 2 ** backoff, ACK_TIMEOUT_MAX);
  }
}
