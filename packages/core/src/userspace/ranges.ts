/**
 * A bounded set of disjoint ranges of stream offsets, in order. Serves the out-of-order data of the receiving side and the other side's
 * selective acknowledgements of the sending side.
 */
export class Ranges {
  /** starts[i] < ends[i] < starts[i + 1] for i < size */
  readonly starts: Float64Array;
  readonly ends: Float64Array;
  size = 0;
  /** the range that the last `add` made or grew; for SACK, whose first block is the newest (RFC 2018 §4) */
  latest = 0;

  constructor(readonly limit: number) {
    this.starts = new Float64Array(limit);
    this.ends = new Float64Array(limit);
  }

  /** Adds [start, end). @returns false when that would make one range too many, and nothing was added */
  add(start: number, end: number): boolean {
    if (end <= start) return true;
    let from = 0;
    while (from < this.size && this.ends[from]! < start) from++;
    let to = from;
    let low = start;
    let high = end;
    while (to < this.size && this.starts[to]! <= end) {
      low = Math.min(low, this.starts[to]!);
      high = Math.max(high, this.ends[to]!);
      to++;
    }
    if (to === from && this.size === this.limit) return false;
    this.#move(to, from + 1);
    this.starts[from] = low;
    this.ends[from] = high;
    this.latest = from;
    return true;
  }

  /** Forgets everything below `offset`. */
  dropBelow(offset: number): void {
    let gone = 0;
    while (gone < this.size && this.ends[gone]! <= offset) gone++;
    if (gone > 0) {
      this.#move(gone, 0);
      this.latest = Math.max(0, this.latest - gone);
    }
    if (this.size > 0 && this.starts[0]! < offset) this.starts[0] = offset;
  }

  clear(): void {
    this.size = 0;
    this.latest = 0;
  }

  /** The end of the highest range, or -1. */
  get top(): number {
    return this.size === 0 ? -1 : this.ends[this.size - 1]!;
  }

  /** Bytes of [from, to) that are in ranges. */
  covered(from: number, to: number): number {
    let bytes = 0;
    for (let i = 0; i < this.size; i++) {
      bytes += Math.max(0, Math.min(this.ends[i]!, to) - Math.max(this.starts[i]!, from));
    }
    return bytes;
  }

  /** The first offset at or behind `offset` that is in no range. */
  skip(offset: number): number {
    for (let i = 0; i < this.size && this.starts[i]! <= offset; i++) {
      if (offset < this.ends[i]!) return this.ends[i]!;
    }
    return offset;
  }

  /** Where the first range behind `offset` starts, or Infinity. */
  nextStart(offset: number): number {
    for (let i = 0; i < this.size; i++) if (this.starts[i]! > offset) return this.starts[i]!;
    return Infinity;
  }

  /** Moves what is from `from` on to `to`, growing or shrinking the set. */
  #move(from: number, to: number): void {
    this.starts.copyWithin(to, from, this.size);
    this.ends.copyWithin(to, from, this.size);
    this.size += to - from;
  }
}
