import type { Slab } from '../../slab/slab.js';
import { copyAndSum, finish, swap16 } from '../checksum.js';

/** Pieces below this are gathered, so that a native side that writes byte by byte does not cost an object per byte. */
const SMALL = 4 * 1024;
/** bytes into which small pieces are gathered */
const GATHER = 16 * 1024;

/**
 * What came from the native side, by stream offset, kept until the inner side has acknowledged it. The pieces are kept as
 * they came; they must not change afterwards.
 */
export class Outbound {
  /** what is below was acknowledged and is gone */
  start = 0;
  /** behind the last byte */
  end = 0;
  readonly #pieces: DataView[] = [];
  readonly #starts: number[] = [];
  /** room left in the last piece, when it is one that gathers */
  #room = 0;

  get length(): number {
    return this.end - this.start;
  }

  get pieces(): number {
    return this.#pieces.length;
  }

  append(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (bytes.length < SMALL && this.#pieces.length > 0) {
      this.#gather(bytes);
    } else {
      this.#push(new DataView(bytes.buffer, bytes.byteOffset, bytes.length));
      this.#room = 0;
    }
    this.end += bytes.length;
  }

  #gather(bytes: Uint8Array): void {
    const fits = Math.min(this.#room, bytes.length);
    if (fits > 0) this.#fill(bytes, 0, fits);
    if (fits === bytes.length) return;
    this.#push(new DataView(new ArrayBuffer(GATHER)), this.end + fits);
    this.#room = GATHER;
    this.#fill(bytes, fits, bytes.length);
  }

  #fill(bytes: Uint8Array, from: number, to: number): void {
    const last = this.#pieces[this.#pieces.length - 1]!;
    new Uint8Array(last.buffer).set(bytes.subarray(from, to), GATHER - this.#room);
    this.#room -= to - from;
  }

  #push(piece: DataView, start = this.end): void {
    this.#pieces.push(piece);
    this.#starts.push(start);
  }

  /** Copies [offset, offset + length) to `at`. @returns the checksum sum of those bytes */
  copy(to: Slab, at: number, offset: number, length: number): number {
    let i = this.#find(offset);
    let done = 0;
    let total = 0;
    while (done < length) {
      const piece = this.#pieces[i]!;
      const from = offset + done - this.#starts[i]!;
      // A piece that gathers may have room left behind what it holds.
      const count = Math.min(length - done, (this.#starts[i + 1] ?? this.end) - offset - done);
      const part = copyAndSum(piece, from, to.view, at + done, count, to.vectorSum);
      // Bytes that come to lie at odd places change roles within their word (RFC 1071 §2 B).
      total += (done & 1) === 0 ? part : swap16(~finish(part) & 0xffff);
      done += count;
      i++;
    }
    return total;
  }

  /** The same without the sum: for super-packets, whose data nobody sums before they are cut up. */
  copyPlain(to: Slab, at: number, offset: number, length: number): void {
    for (let i = this.#find(offset), done = 0; done < length; i++) {
      const piece = this.#pieces[i]!;
      const from = offset + done - this.#starts[i]!;
      const count = Math.min(length - done, (this.#starts[i + 1] ?? this.end) - offset - done);
      to.bytes.set(new Uint8Array(piece.buffer, piece.byteOffset + from, count), at + done);
      done += count;
    }
  }

  /** Lets go of what is below `offset`. */
  release(offset: number): void {
    this.start = Math.min(offset, this.end);
    let gone = 0;
    while (gone + 1 < this.#starts.length && this.#starts[gone + 1]! <= offset) gone++;
    if (this.start === this.end) {
      gone = this.#pieces.length;
      this.#room = 0;
    }
    if (gone > 0) {
      this.#pieces.splice(0, gone);
      this.#starts.splice(0, gone);
    }
  }

  clear(): void {
    this.release(this.end);
  }

  /** The piece that holds `offset`. */
  #find(offset: number): number {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#starts[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
