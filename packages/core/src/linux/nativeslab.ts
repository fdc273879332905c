import koffi from 'koffi';
import { Slab, SLAB_MIN } from '../slab/slab.js';
import { SlabPool } from '../slab/pool.js';

/**
 * Slabs whose memory C can be given addresses of.
 *
 * The memory belongs to a JavaScript ArrayBuffer and C borrows it, not the other way round: memory mapped by hand would
 * have to be unmapped by hand, V8 does not let such a buffer be detached, and a view that is used after the unmapping
 * would be a segmentation fault. A buffer's backing store never moves (it is outside V8's heap once it is larger than
 * 64 bytes, and it is neither resizable nor transferred here), and it lives for as long as its slab does.
 */
export function nativeSlab(size: number): Slab {
  return adoptSlab(new ArrayBuffer(Math.max(size, SLAB_MIN)));
}

/** Memory that two threads may hold: post `slab.bytes.buffer` to the other, which adopts it with `adoptSlab`. */
export function sharedNativeSlab(size: number): Slab {
  return adoptSlab(new SharedArrayBuffer(Math.max(size, SLAB_MIN)));
}

/** A native slab of memory that was allocated elsewhere. */
export function adoptSlab(buffer: ArrayBuffer | SharedArrayBuffer): Slab {
  // A user-space address has at most 57 bits, and those handed out without asking have 47: exact as a number.
  const address = Number(koffi.address(new Uint8Array(buffer)));
  return new Slab(buffer, address);
}

/** A pool of native slabs; those that it does not keep are left to the collector, which frees their memory. */
export function nativeSlabPool(slabSize: number, keep = 16): SlabPool {
  return new SlabPool(slabSize, nativeSlab, keep);
}
