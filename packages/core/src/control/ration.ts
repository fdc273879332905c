/** Control messages that a peer may send at once: an announcement, a change or two, and a round of probes with room to spare. */
export const CONTROL_BURST = 16;
/** … and in the long run, per second. */
export const CONTROL_RATE = 4;

/** How many control messages of one peer are looked at: a bucket of CONTROL_BURST that fills by CONTROL_RATE a second. */
export class ControlRation {
  #left = CONTROL_BURST;
  #at = -Infinity;

  /** @returns whether one more may be taken now */
  take(now: number): boolean {
    const grown = Math.max(0, now - this.#at) * (CONTROL_RATE / 1000);
    this.#left = Math.min(CONTROL_BURST, this.#left + grown);
    this.#at = now;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
