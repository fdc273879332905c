/** Handshake messages a second that count as load: each costs up to 0.15 ms of Curve25519, so this is a fortieth of a core. */
export const LOAD_MESSAGES = 170;
/** ms */
export const LOAD_WINDOW = 100;
/** A device stays under load for this long after the last loaded window (kernel cookie.c: one second), ms. */
export const LOAD_HOLD = 1_000;

/** Tells whether so many handshake messages arrive that strangers must first prove their address, or be rationed. */
export class LoadGauge {
  #windowStart = -Infinity;
  #count = 0;
  #until = -Infinity;

  /** Counts one handshake message. @returns whether the device is under load */
  count(now: number): boolean {
    if (now >= this.#windowStart + LOAD_WINDOW) {
      this.#windowStart = now;
      this.#count = 0;
    }
    if (++this.#count > (LOAD_MESSAGES * LOAD_WINDOW) / 1000) this.#until = now + LOAD_HOLD;
    return now < this.#until;
  }
}
