import { nativeSlab } from './nativeslab.js';
import type { Slab } from '../slab/slab.js';

/** Bytes of a struct iovec: address, length (64-bit each). */
const IOVEC = 16;
/** Bytes of a struct msghdr on 64-bit Linux: name, namelen, iov, iovlen, control, controllen, flags, padding. */
const MSGHDR = 56;
/** The most that one call takes (linux/uio.h UIO_MAXIOV). */
export const IOV_MAX = 1024;

/**
 * A list of places in slabs that one system call reads into or writes from, kept in native memory and used again and
 * again. The slabs named must stay alive until the call is made.
 */
export class Iovecs {
  /** entries pushed since `clear` */
  count = 0;
  /** sum of their lengths */
  bytes = 0;
  readonly #slab: Slab;

  /** @param capacity entries, at most IOV_MAX */
  constructor(readonly capacity = IOV_MAX) {
    if (!(capacity >= 1 && capacity <= IOV_MAX)) throw new RangeError(`1 to ${IOV_MAX} vectors`);
    this.#slab = nativeSlab(MSGHDR + capacity * IOVEC);
  }

  get full(): boolean {
    return this.count === this.capacity;
  }

  clear(): void {
    this.count = 0;
    this.bytes = 0;
  }

  /** @throws RangeError when the place is not inside the slab or the list is full */
  push(slab: Slab, offset: number, length: number): void {
    if (this.count >= this.capacity) throw new RangeError('too many vectors');
    const address = slab.at(offset, length);
    const at = MSGHDR + this.count * IOVEC;
    setAddress(this.#slab.view, at, address);
    setAddress(this.#slab.view, at + 8, length);
    this.count++;
    this.bytes += length;
  }

  /** Address of the first entry, for readv and writev. */
  get address(): number {
    return this.#slab.at(MSGHDR, this.count * IOVEC);
  }

  /** Address of a msghdr that names these vectors and nothing else, for sendmsg on a connected socket. */
  messageHeader(): number {
    setAddress(this.#slab.view, 16, this.address);
    setAddress(this.#slab.view, 24, this.count);
    return this.#slab.at(0, MSGHDR);
  }
}

/** Writes a 64-bit native word that is an exact non-negative JavaScript integer. */
export function setAddress(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, (value / 0x1_0000_0000) >>> 0, true);
}
