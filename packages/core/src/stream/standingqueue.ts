/**
 * Tells a queue that stands from one that comes and goes, and how often to drop from the first: CoDel (RFC 8289).
 *
 * Why: an inner TCP fills whatever queue it meets until something is lost. On a path that is slower than the sender, a queue that is only bounded by its size is
 * always full, and everything waits behind it; the kernel's own queue in front of the TUN, which this end cannot look into, fills as well. A burst, or a pause
 * of the path's, leaves a long queue for a moment; that one must not cost anything. So what counts is the least time that data has waited in the last
 * INTERVAL: while it is above TARGET, one record is dropped now and then, and the longer this goes on, the more often.
 *
 * What is unlike a router's queue: the link behind it is a TCP connection, which stops for a round trip whenever something is lost on the way, and an inner
 * CUBIC needs many round trips to take back what it gave up for a loss. So on a long path more is let wait, and for longer, before it counts.
 */

/** How long data may always have to wait, ms: RFC 8289, section 4.2. At least: see `roundTrip`. */
export const TARGET = 5;
/** How long it takes a sender to hear of a loss, ms: RFC 8289, section 4.2. At least: it is behind this queue and the path. */
export const INTERVAL = 100;
/** The part of an interval that is left when a queue has been long for more than a moment. */
const MOMENTS = 0.8;
/** Until one has been measured, ms. */
const ROUND_TRIP_UNKNOWN = 10;
/** A queue that stands again so soon goes on where the last time ended, in intervals (RFC 8289, section 5.6). */
const MEMORY = 16;

export class StandingQueue {
  /** since when all that left had waited for longer than TARGET, and an interval more; 0 when that is not so */
  #dropsFrom = 0;
  #isLong = false;
  #isDropping = false;
  #nextDrop = 0;
  /** drops since the queue stands, and how many they were when that began */
  #count = 0;
  #countBefore = 0;

  #target = 2 * ROUND_TRIP_UNKNOWN;
  #interval = INTERVAL;

  /** ms, of the path: the least that was seen, so that queues on it do not count */
  set roundTrip(ms: number) {
    this.#target = Math.max(TARGET, 2 * ms);
    this.#interval = Math.max(INTERVAL, 10 * ms);
  }

  /** Whether it is long for more than a moment, as it is when a process on the way waits for a core: a fifth of what it takes to stand. */
  get isLong(): boolean {
    return this.#isLong;
  }

  /**
   * Asked whenever a record is about to leave.
   * @param waited ms, the record
   * @param isLast nothing is behind it: that is no queue
   * @returns whether to drop it instead, and ask for the next one
   */
  drops(now: number, waited: number, isLast: boolean): boolean {
    if (waited < this.#target || isLast) {
      this.emptied();
      return false;
    }
    if (this.#dropsFrom === 0) this.#dropsFrom = now + this.#interval;
    this.#isLong = now >= this.#dropsFrom - MOMENTS * this.#interval;
    if (this.#isDropping) {
      if (now < this.#nextDrop) return false;
      this.#count++;
      this.#nextDrop += this.#pause;
      return true;
    }
    if (now < this.#dropsFrom) return false;
    this.#isDropping = true;
    const earlier = this.#count - this.#countBefore;
    this.#count = earlier > 1 && now - this.#nextDrop < MEMORY * this.#interval ? earlier : 1;
    this.#countBefore = this.#count;
    this.#nextDrop = now + this.#pause;
    return true;
  }

  /** Nothing waits any more. */
  emptied(): void {
    this.#dropsFrom = 0;
    this.#isLong = this.#isDropping = false;
  }

  /** The square root makes the inner TCP's rate fall steadily (RFC 8289, section 3.3). */
  get #pause(): number {
    return this.#interval / Math.sqrt(this.#count);
  }
}
