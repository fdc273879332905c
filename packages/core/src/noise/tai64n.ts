import { TIMESTAMP_LENGTH } from '../messages/constants.js';
import { compareBytes } from './bytes.js';

/**
 * Timestamps of initiations: TAI64N, 8 bytes of seconds and 4 of nanoseconds, big-endian, so that byte order is time
 * order (cr.yp.to/libtai/tai64.html). The nanoseconds are rounded down to multiples of 2^24, about 16.8 ms, the largest
 * power of two below the least time between two accepted initiations, so that nobody learns our fine clock from them
 * (kernel noise.c).
 */

/** Nanoseconds that timestamps are multiples of. */
export const TAI64N_GRAIN = 2 ** 24;

/** 2^62 + 10: TAI seconds at the Unix epoch as libtai counts them; the kernel ignores later leap seconds, and so do we. */
const EPOCH_HI = 0x40000000;
const EPOCH_LO = 10;
const SECOND = 1_000_000_000;

/**
 * Makes the timestamps of the initiations to one peer, each newer than the last even when the wall clock stands still
 * or is set back. One object per peer: sharing it would run ahead of the clock while many peers are started at once,
 * and a timestamp from the future makes the peer refuse us after a restart until that time has come.
 */
export class TimestampSource {
  readonly #last = new Uint8Array(TIMESTAMP_LENGTH);

  /**
   * @param wallTime ms since the Unix epoch
   * @returns 12 bytes of the caller's own
   */
  next(wallTime: number): Uint8Array {
    const stamp = tai64n(wallTime);
    if (compareBytes(stamp, this.#last) <= 0) {
      stamp.set(this.#last);
      addGrain(stamp);
    }
    this.#last.set(stamp);
    return stamp;
  }
}

/** The timestamp of a wall-clock time (ms since the Unix epoch), rounded down. */
export function tai64n(wallTime: number): Uint8Array {
  const seconds = Math.floor(wallTime / 1000);
  const nanoseconds = Math.min(SECOND - 1, Math.floor((wallTime - seconds * 1000) * 1_000_000));
  const out = new Uint8Array(TIMESTAMP_LENGTH);
  const total = seconds + EPOCH_LO;
  const view = new DataView(out.buffer);
  view.setUint32(0, EPOCH_HI + Math.floor(total / 2 ** 32));
  view.setUint32(4, total >>> 0);
  view.setUint32(8, nanoseconds - (nanoseconds % TAI64N_GRAIN));
  return out;
}

/** The wall-clock time of a timestamp, ms since the Unix epoch. */
export function tai64nToWallTime(stamp: Uint8Array): number {
  const view = new DataView(stamp.buffer, stamp.byteOffset, TIMESTAMP_LENGTH);
  const seconds = (view.getUint32(0) - EPOCH_HI) * 2 ** 32 + view.getUint32(4) - EPOCH_LO;
  return seconds * 1000 + view.getUint32(8) / 1_000_000;
}

/** Order in time: negative when `a` is the older. */
export const compareTai64n = compareBytes;

function addGrain(stamp: Uint8Array): void {
  const view = new DataView(stamp.buffer);
  const nanoseconds = view.getUint32(8) + TAI64N_GRAIN;
  if (nanoseconds < SECOND) {
    view.setUint32(8, nanoseconds);
    return;
  }
  view.setUint32(8, 0);
  const low = view.getUint32(4) + 1;
  view.setUint32(4, low);
  if (low > 0xffffffff) view.setUint32(0, view.getUint32(0) + 1);
}
