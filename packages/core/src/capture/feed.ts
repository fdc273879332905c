/**
 * Cuts a byte stream that arrives in chunks of any size into the pieces that a file format is made of.
 *
 * Theory of operation. `step` is shown a run of bytes and says how many of them it is done with; 0 means that it wants to
 * see more, and `need` says how many. Pieces that lie whole inside one chunk are parsed where they lie; one that is
 * spread over chunks is gathered in `carry`. What a piece claims to be long is checked by `step` before it raises
 * `need`, so a hostile length cannot make `carry` grow past `limit`; pieces of no interest are passed over with `skip`, which needs
 * no memory at all.
 */
export abstract class ChunkParser {
  /** file offset of the first byte that the next step sees */
  protected position = 0;
  /** how many bytes the next step has to see to get anywhere */
  protected need = 1;
  /** bytes to pass over unseen before the next step */
  protected skip = 0;
  /** no more bytes will come */
  protected ended = false;
  #carry: Uint8Array = EMPTY;
  #carried = 0;

  /** @param limit the largest `need` there can be, bytes */
  protected constructor(private readonly limit: number) {}

  /** Takes the next bytes of the file. They are not kept: the caller may reuse them. */
  push(given: Uint8Array): void {
    // The slice() of a Node Buffer copies nothing: what is kept of a packet would keep the whole chunk.
    const chunk = new Uint8Array(given.buffer, given.byteOffset, given.length);
    let at = 0;
    while (at < chunk.length) {
      if (this.skip > 0) {
        const n = Math.min(this.skip, chunk.length - at);
        this.skip -= n;
        this.position += n;
        at += n;
      } else if (this.#carried > 0) {
        at += this.#gather(chunk, at);
      } else {
        const used = this.#walk(chunk, at, chunk.length);
        at += used;
        if (used === 0 || (this.skip === 0 && chunk.length - at < this.need)) {
          this.#keep(chunk, at);
          return;
        }
      }
    }
  }

  /** Says that the file has ended. */
  end(): void {
    if (this.ended) return;
    this.ended = true;
    const rest = this.#carry.subarray(0, this.#carried);
    this.#carried = 0;
    let at = 0;
    for (;;) {
      const passed = Math.min(this.skip, rest.length - at);
      this.position += passed;
      this.skip -= passed;
      at += passed;
      if (at >= rest.length) break;
      this.need = 1;
      const used = this.#walk(rest, at, rest.length);
      if (used === 0) break;
      at += used;
    }
    this.finish(rest.length - at);
    this.#carry = EMPTY;
  }

  /**
   * Parses at most one piece out of [start, end).
   * @returns how many bytes it is done with, or 0 after raising `need` above end - start (once `ended`: 0 to give up)
   */
  protected abstract step(bytes: Uint8Array, start: number, end: number): number;

  /** @param left bytes at the end of the file that belong to no whole piece */
  protected abstract finish(left: number): void;

  #walk(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    while (this.skip === 0 && end - at >= this.need) {
      const used = this.step(bytes, at, end);
      if (used === 0) break;
      at += used;
      this.position += used;
    }
    return at - start;
  }

  /**
   * Adds to the carried bytes what the next step needs, and lets it try. What is then left of the chunk's bytes is parsed in the
   * chunk again.
   * @returns how many bytes of the chunk are dealt with
   */
  #gather(chunk: Uint8Array, at: number): number {
    const carried = this.#carried;
    // At least as much again, so that a step that uses little does not make this go byte by byte.
    const most = Math.min(chunk.length - at, this.limit - carried);
    const wanted = Math.min(most, Math.max(this.need - carried, carried));
    this.#room(carried + wanted);
    this.#carry.set(chunk.subarray(at, at + wanted), carried);
    this.#carried += wanted;
    if (this.#carried < this.need) return wanted;
    const used = this.#walk(this.#carry, 0, this.#carried);
    // A step may have asked to skip into the rest of the carried bytes.
    const passed = Math.min(this.skip, this.#carried - used);
    this.skip -= passed;
    this.position += passed;
    const left = this.#carried - used - passed;
    if (left <= wanted) {
      this.#carried = 0;
      return wanted - left;
    }
    this.#carry.copyWithin(0, used + passed, this.#carried);
    this.#carried = left;
    return wanted;
  }

  #keep(chunk: Uint8Array, at: number): void {
    const rest = chunk.length - at;
    this.#room(rest);
    this.#carry.set(chunk.subarray(at), 0);
    this.#carried = rest;
  }

  #room(size: number): void {
    if (size <= this.#carry.length) return;
    if (size > this.limit) throw new RangeError(`a capture reader asked for ${size} bytes at once`);
    const grown = new Uint8Array(Math.min(this.limit, Math.max(4096, size, 2 * this.#carry.length)));
    grown.set(this.#carry.subarray(0, this.#carried));
    this.#carry = grown;
  }
}

const EMPTY = new Uint8Array(0);

export function u16(bytes: Uint8Array, at: number, little: boolean): number {
  const a = bytes[at]!;
  const b = bytes[at + 1]!;
  return little ? a | (b << 8) : (a << 8) | b;
}

export function u32(bytes: Uint8Array, at: number, little: boolean): number {
  const a = bytes[at]!;
  const b = bytes[at + 1]!;
  const c = bytes[at + 2]!;
  const d = bytes[at + 3]!;
  return little ? ((d << 24) | (c << 16) | (b << 8) | a) >>> 0 : ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}
