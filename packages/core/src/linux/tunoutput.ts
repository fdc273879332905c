import type { PacketSink } from '../device/driver.js';
import type { Slab } from '../slab/slab.js';
import { EINVAL } from './errno.js';
import { Iovecs } from './iovecs.js';
import { Coalescer, PIECES_MAX, type PacketWriter } from './offload/coalesce.js';
import { giveSummableSlab, summableSlab } from './offload/vectorsum.js';
import { VIRTIO_HEADER, writePlainHeader } from '../offload/virtio.js';
import { write, writev } from './syscalls.js';
import { tunGone, type Tun } from './tun.js';

/** Opened packets of one batch: somewhat more than one read from a socket holds, so that it is rarely flushed in the middle. */
const SLAB_SIZE = 512 * 1024;
/** Packets begin at multiples of this. */
const ALIGNMENT = 16;

/**
 * Where packets are opened, and from where they are written to the TUN.
 *
 * With offload, packets wait until `flush` at the end of the batch and leave as super-packets where they can. Without, each is
 * written as soon as it is committed, because waiting would save nothing.
 */
export class TunOutput implements PacketSink, PacketWriter {
  readonly slab = summableSlab(SLAB_SIZE);
  /** packets delivered, and system calls that it took */
  packets = 0;
  writes = 0;
  /** packets that the TUN did not take: interface down, out of memory */
  refused = 0;
  /** the interface is no more */
  gone = false;
  /** whether packets are put together; ends for good when the kernel turns out not to take the result */
  merges: boolean;

  readonly #coalescer: Coalescer;
  readonly #iovecs = new Iovecs(PIECES_MAX);
  #end = 0;

  constructor(private readonly tun: Tun) {
    this.merges = tun.offload.tcp;
    this.#coalescer = new Coalescer(this.slab, tun.offload.udp, this);
  }

  reserve(length: number): number {
    let at = (this.#end + VIRTIO_HEADER + ALIGNMENT - 1) & -ALIGNMENT;
    if (at + length <= SLAB_SIZE) return at;
    this.flush();
    at = ALIGNMENT;
    return at + length <= SLAB_SIZE ? at : -1;
  }

  commit(offset: number, length: number): void {
    this.packets++;
    if (this.merges) {
      this.#coalescer.add(offset, length);
      this.#end = offset + length;
    } else if (this.tun.vnetHeader) {
      writePlainHeader(this.slab, offset - VIRTIO_HEADER);
      this.#count(write(this.tun.fd, this.slab, offset - VIRTIO_HEADER, length + VIRTIO_HEADER), 1);
    } else {
      this.#count(write(this.tun.fd, this.slab, offset, length), 1);
    }
  }

  /** Behind what waits, so that order is kept. */
  commitSuper(offset: number, length: number): boolean {
    if (!this.merges) return false;
    if (this.#coalescer.pending > 0) this.#coalescer.flush();
    this.packets++;
    const n = write(this.tun.fd, this.slab, offset, length);
    this.#count(n, 1);
    if (n === -EINVAL) this.merges = false;
    return true;
  }

  /** Writes what waits. */
  flush(): void {
    this.#coalescer.flush();
    this.#end = 0;
  }

  /** Gives its memory back; nothing may be committed afterwards. */
  close(): void {
    giveSummableSlab(this.slab);
  }

  /** PacketWriter */
  write(slab: Slab, offsets: Int32Array, lengths: Int32Array, count: number): void {
    if (count === 1) {
      this.#count(write(this.tun.fd, slab, offsets[0]!, lengths[0]!), 1);
      return;
    }
    const iovecs = this.#iovecs;
    iovecs.clear();
    for (let i = 0; i < count; i++) iovecs.push(slab, offsets[i]!, lengths[i]!);
    const n = writev(this.tun.fd, iovecs);
    this.#count(n, count);
    // Some kernels accept the offload flags and then none of what they stand for (seen by users of other user-space
    // tunnels). These packets are lost, which TCP repairs; the next ones go one by one.
    if (n === -EINVAL) this.merges = false;
  }

  #count(result: number, packets: number): void {
    this.writes++;
    if (result >= 0) return;
    this.refused += packets;
    if (tunGone(result)) this.gone = true;
  }
}
