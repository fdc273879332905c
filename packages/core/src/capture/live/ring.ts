/**
 * A bounded byte queue from one writer to one reader, which may be threads of their own.
 *
 * Theory of operation. The memory is a head and a tail (bytes ever written and taken, modulo 2^32) and a power of two of room. Only the writer moves
 * the head, only the reader the tail, so that neither ever waits for the other: what does not fit is refused, and the writer counts it. What is
 * written becomes visible with `publish`; until then it can be changed and taken back. The reader has to be told of news only when it has taken
 * everything and stopped looking, which is what `publish` returns.
 */
const HEAD = 0;
const TAIL = 1;
/** the reader has been told, and not stopped looking since */
const TOLD = 2;
/** Bytes in front of the room. */
const CONTROL = 64;

export class ByteRing {
  readonly #control: Int32Array;
  readonly #room: Uint8Array;
  readonly #mask: number;
  /** where the next byte goes: ahead of what is published */
  #head: number;

  /** @param memory as `memoryFor` makes it; the same for both ends */
  constructor(readonly memory: ArrayBufferLike) {
    this.#control = new Int32Array(memory, 0, CONTROL / 4);
    this.#room = new Uint8Array(memory, CONTROL);
    this.#mask = this.#room.length - 1;
    if ((this.#room.length & this.#mask) !== 0) throw new RangeError('the room of a ring is a power of two');
    this.#head = Atomics.load(this.#control, HEAD);
  }

  /** How many bytes of memory a ring with that room (a power of two) takes. */
  static memoryFor(room: number): number {
    return CONTROL + room;
  }

  get size(): number {
    return this.#room.length;
  }

  // ---- the writer

  /** A place in the stream, for `patch` and `rewind`. */
  get position(): number {
    return this.#head;
  }

  /** Bytes that can be written now. */
  get free(): number {
    return this.size - ((this.#head - Atomics.load(this.#control, TAIL)) >>> 0);
  }

  /** Bytes written and not yet published. */
  get unpublished(): number {
    return (this.#head - Atomics.load(this.#control, HEAD)) >>> 0;
  }

  /** Appends `length` bytes, for which there must be room. */
  put(bytes: Uint8Array, offset: number, length: number): void {
    const at = this.#head & this.#mask;
    const first = Math.min(length, this.size - at);
    this.#room.set(bytes.subarray(offset, offset + first), at);
    if (first < length) this.#room.set(bytes.subarray(offset + first, offset + length), 0);
    this.#head = (this.#head + length) >>> 0;
  }

  /** Writes a 32-bit number (little-endian) over what was put at a place that is not published yet. */
  patch(position: number, value: number): void {
    for (let i = 0; i < 4; i++) this.#room[(position + i) & this.#mask] = value >>> (8 * i);
  }

  /** Takes back everything from a place on that is not published yet. */
  rewind(position: number): void {
    this.#head = position;
  }

  /** Shows the reader everything so far. @returns whether it has to be told */
  publish(): boolean {
    if (this.unpublished === 0) return false;
    Atomics.store(this.#control, HEAD, this.#head | 0);
    return Atomics.exchange(this.#control, TOLD, 1) === 0;
  }

  // ---- the reader

  /** Takes up to `most` bytes out, copied; null when there are none, and the reader will be told of the next ones. */
  take(most: number): Uint8Array | null {
    const tail = Atomics.load(this.#control, TAIL);
    let available = (Atomics.load(this.#control, HEAD) - tail) >>> 0;
    if (available === 0) {
      Atomics.store(this.#control, TOLD, 0);
      // What came between the two looks was not told.
      available = (Atomics.load(this.#control, HEAD) - tail) >>> 0;
      if (available === 0) return null;
      Atomics.store(this.#control, TOLD, 1);
    }
    const length = Math.min(available, most);
    const at = tail & this.#mask;
    const out = new Uint8Array(length);
    const first = Math.min(length, this.size - at);
    out.set(this.#room.subarray(at, at + first), 0);
    if (first < length) out.set(this.#room.subarray(0, length - first), first);
    Atomics.store(this.#control, TAIL, (tail + length) | 0);
    return out;
  }
}
