import type { Slab } from '../../slab/slab.js';
import { Ranges } from '../ranges.js';

/** Gaps that may be open at once: modest reordering is accepted, a flood of fragments is not (REFERENCES F.6: 16 segments). */
export const GAPS_MAX = 16;

/** Memory for received data; gives null when the common budget is spent. */
export interface BufferSource {
  readonly slabSize: number;
  take(): Slab | null;
  give(slab: Slab): void;
}

/**
 * What came from the inner side and the native side has not taken yet, by stream offset.
 *
 * Data lies in slabs that follow each other in the stream, so what arrives out of order is laid at its final place and only the ranges are kept in order.
 * taken ≤ handed ≤ accepted: up to `taken` the native side confirmed, up to `handed` it was given, up to `accepted` all is there. Memory is held
 * only while something is waiting.
 */
export class Inbound {
  accepted = 0;
  handed = 0;
  taken = 0;
  /** the run that `run` found */
  runSlab: Slab | null = null;
  runOffset = 0;
  runLength = 0;
  /** what lies behind a gap; made when the first gap opens */
  gaps: Ranges | null = null;
  readonly #slabs: (Slab | null)[] = [];
  /** stream offset at which the first slab begins */
  #base = 0;

  constructor(private readonly source: BufferSource) {}

  /** Bytes that wait for the native side. */
  get pending(): number {
    return this.accepted - this.taken;
  }

  get hasGaps(): boolean {
    return this.gaps !== null && this.gaps.size > 0;
  }

  /**
   * Takes `length` bytes at `at` that belong at stream offset `start`, which is not below `accepted`.
   * @returns false when there is no memory or no room for another gap: they are as good as lost
   */
  place(view: DataView, at: number, start: number, length: number): boolean {
    const end = start + length;
    if (start > this.accepted) {
      this.gaps ??= new Ranges(GAPS_MAX);
      if (this.gaps.size === GAPS_MAX && !this.#touchesGap(start, end)) return false;
      if (!this.#copy(view, at, start, length)) return false;
      this.gaps.add(start, end);
      return true;
    }
    if (!this.#copy(view, at, start, length)) return false;
    this.accepted = end;
    if (this.gaps !== null && this.gaps.size > 0) {
      this.accepted = this.gaps.skip(end);
      this.gaps.dropBelow(this.accepted);
    }
    return true;
  }

  /** Finds the next run to hand over, in runSlab, runOffset and runLength, and counts it as handed. */
  run(): boolean {
    if (this.handed === this.accepted) return false;
    const size = this.source.slabSize;
    const at = this.handed - this.#base;
    this.runSlab = this.#slabs[Math.floor(at / size)]!;
    this.runOffset = at % size;
    this.runLength = Math.min(this.accepted - this.handed, size - this.runOffset);
    this.handed += this.runLength;
    return true;
  }

  /** The native side confirmed `count` more bytes. */
  confirm(count: number): void {
    this.taken = Math.min(this.taken + count, this.handed);
    if (this.taken === this.accepted && !this.hasGaps) return this.clear();
    const size = this.source.slabSize;
    while (this.#slabs.length > 0 && this.taken >= this.#base + size) {
      this.#give(this.#slabs.shift()!);
      this.#base += size;
    }
  }

  /** Gives all memory back; what was waiting is lost. */
  clear(): void {
    for (const slab of this.#slabs) this.#give(slab);
    this.#slabs.length = 0;
    this.gaps?.clear();
    this.runSlab = null;
  }

  #touchesGap(start: number, end: number): boolean {
    const gaps = this.gaps!;
    for (let i = 0; i < gaps.size; i++) if (start <= gaps.ends[i]! && end >= gaps.starts[i]!) return true;
    return false;
  }

  #copy(view: DataView, from: number, start: number, length: number): boolean {
    const size = this.source.slabSize;
    if (this.#slabs.length === 0) this.#base = this.taken;
    let done = 0;
    while (done < length) {
      const at = start + done - this.#base;
      const slab = this.#slab(Math.floor(at / size));
      if (slab === null) return false;
      const room = Math.min(length - done, size - (at % size));
      const source = view.byteOffset + from + done;
      slab.bytes.set(new Uint8Array(view.buffer, source, room), at % size);
      done += room;
    }
    return true;
  }

  #slab(index: number): Slab | null {
    while (this.#slabs.length <= index) this.#slabs.push(null);
    return (this.#slabs[index] ??= this.source.take());
  }

  #give(slab: Slab | null): void {
    if (slab !== null) this.source.give(slab);
  }
}
