import { sequence } from './rng.mjs';

/**
 * One direction of a link: packets enter, wait for the line, travel, and leave in the order they came.
 *
 * The line takes one packet after the other at its rate; when `queue` packets wait for it, the next is dropped. What has passed the line
 * takes `delay` ms more. Both are known when a packet enters, so each has the time at which it leaves written beside it, and the
 * packets in flight are a ring of numbered slots.
 */
export class Lane {
  /** packets that were lost by chance, and for want of room */
  lost = 0;
  dropped = 0;
  passed = 0;

  #leaves;
  #head = 0;
  #tail = 0;
  #lineFreeAt = 0;
  /** when the packets that wait for the line get it: a ring of the last `queue` */
  #starts;
  #entered = 0;
  #chance;

  /** @param slots a power of two: most packets in flight */
  constructor({ delay, loss, rate, queue, seed, slots }) {
    this.delay = delay;
    this.share = loss / 100;
    /** bytes per ms; 0: no limit */
    this.speed = (rate * 1e6) / 8 / 1000;
    this.mask = slots - 1;
    this.#leaves = new Float64Array(slots);
    this.#starts = new Float64Array(queue).fill(-Infinity);
    this.#chance = sequence(seed);
  }

  /** The slot into which the next packet is to be read; -1 when all are taken. */
  get free() {
    return this.#tail - this.#head > this.mask ? -1 : this.#tail & this.mask;
  }

  /** The packet of `length` bytes that was read into the free slot enters. @returns false when it was lost, and the slot is free again */
  enter(now, length) {
    if (this.share > 0 && this.#chance() < this.share) {
      this.lost++;
      return false;
    }
    let out = now;
    if (this.speed > 0) {
      const starts = this.#starts;
      const at = this.#entered % starts.length;
      // The packet that entered `queue` packets ago still waits: the queue is full.
      if (starts[at] > now) {
        this.dropped++;
        return false;
      }
      const start = Math.max(now, this.#lineFreeAt);
      starts[at] = start;
      this.#entered++;
      out = this.#lineFreeAt = start + length / this.speed;
    }
    this.#leaves[this.#tail & this.mask] = out + this.delay;
    this.#tail++;
    return true;
  }

  /** When the first packet leaves, ms; Infinity when there is none. */
  get nextAt() {
    return this.#head === this.#tail ? Infinity : this.#leaves[this.#head & this.mask];
  }

  /** The slot of the packet that leaves now, and is out afterwards; -1 when there is none. */
  leave(now) {
    if (this.nextAt > now) return -1;
    this.passed++;
    return this.#head++ & this.mask;
  }
}
