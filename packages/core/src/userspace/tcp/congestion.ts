/**
 * How much may be in flight: slow start and congestion avoidance in bytes (RFC 5681, RFC 3465), with CUBIC's factor on
 * loss (RFC 9438 §4.6). passt needs none because its inner path is a local one; here the path is a tunnel, and over UDP it can lose.
 */
const INITIAL_SEGMENTS = 10;
const BETA = 0.7;
const WINDOW_MAX = 16 << 20;

export class Congestion {
  /** bytes */
  window: number;
  #threshold = Infinity;

  constructor(private mss: number) {
    this.window = INITIAL_SEGMENTS * mss;
  }

  /** The other side's SYN said how long segments may be. */
  start(mss: number): void {
    this.mss = mss;
    this.window = INITIAL_SEGMENTS * mss;
  }

  /** The path turned out to take less. */
  shrink(mss: number): void {
    this.mss = mss;
  }

  /** `bytes` were newly acknowledged while `inFlight` were out. A window that was not used does not grow (RFC 7661). */
  acknowledged(bytes: number, inFlight: number): void {
    if (inFlight + this.mss < this.window / 2) return;
    if (this.window < this.#threshold) this.window += bytes;
    else this.window += Math.max(1, Math.floor((this.mss * bytes) / this.window));
    this.window = Math.min(this.window, WINDOW_MAX);
  }

  /** A segment was lost, others arrived. */
  lost(inFlight: number): void {
    this.#threshold = Math.max(Math.floor(Math.min(inFlight, this.window) * BETA), 2 * this.mss);
    this.window = this.#threshold;
  }

  /** Nothing came back in time. @param again the same data timed out before: the threshold stays */
  timedOut(inFlight: number, again: boolean): void {
    if (!again) this.#threshold = Math.max(Math.floor(Math.min(inFlight, this.window) / 2), 2 * this.mss);
    this.window = this.mss;
  }
}
