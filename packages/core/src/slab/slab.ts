/**
 * Slabs: the large, unmoving pieces of memory that packets live in.
 *
 * Theory of operation. Every message is written once and lies where it was written until the kernel has taken it:
 * carriers hand out room in a slab (reserve), the message is sealed into that room, and commit makes it part of the
 * next write. The native driver hands addresses inside a slab to C; a wrong address there is a segmentation fault, so
 * the only way from an offset to an address is `Slab.at`, which checks offset and length first. A slab is at least one
 * page large because V8 keeps typed arrays of 64 bytes or less on its own heap, where they move.
 */

/** Smallest size that a slab may have, in bytes: one page, so that its memory never moves. */
export const SLAB_MIN = 4096;

export class Slab {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** bytes */
  readonly size: number;
  /**
   * Where the memory allows for it: the sum of the 16-bit little-endian words of [at, end), by vector instructions. The length is a
   * multiple of 32 bytes between 32 and 64 KiB, and the range inside the slab (linux/offload/vectorsum.ts).
   */
  vectorSum: ((at: number, end: number) => number) | null = null;
  readonly #address: number;

  /**
   * @param buffer memory that stays where it is for as long as the slab is in use
   * @param address its address for C, or 0 when the memory is for JavaScript only
   */
  constructor(buffer: ArrayBuffer | SharedArrayBuffer, address = 0) {
    if (buffer.byteLength < SLAB_MIN) throw new RangeError(`a slab has at least ${SLAB_MIN} bytes`);
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.size = buffer.byteLength;
    this.#address = address;
  }

  /** A slab of plain JavaScript memory: all that the portable and the simulated driver need. */
  static plain(size: number): Slab {
    return new Slab(new ArrayBuffer(Math.max(size, SLAB_MIN)));
  }

  /** Whether C may be given addresses inside this slab. */
  get isNative(): boolean {
    return this.#address !== 0;
  }

  /**
   * The address of `length` bytes at `offset`.
   * @throws RangeError when they do not all lie inside the slab, or when the slab has no address
   */
  at(offset: number, length: number): number {
    if (!(offset >= 0 && length >= 0 && offset + length <= this.size) || this.#address === 0) {
      throw new RangeError(`slab access out of bounds: offset ${offset}, length ${length}, size ${this.size}`);
    }
    return this.#address + offset;
  }
}
