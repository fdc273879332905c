import { setAddress } from './iovecs.js';
import { nativeSlab } from './nativeslab.js';
import { SOCKADDR_IN6 } from './sockaddr.js';
import { CONTROL_MAX } from './udproutes.js';
import type { Slab } from '../slab/slab.js';

/** struct mmsghdr on 64-bit Linux: a msghdr of 56 bytes, the length received or sent, padding. */
const MMSGHDR = 64;
const NAME = 0;
const NAME_LENGTH = 8;
const IOV = 16;
const IOV_LENGTH = 24;
const CONTROL = 32;
const CONTROL_LENGTH = 40;
const LENGTH = 56;
/** Room for control messages: ours, and what a receiver may find in front of it. */
const CONTROL_ROOM = CONTROL_MAX + 40;
const IOVEC = 16;
/** per message behind the headers and iovecs: its socket address, its control messages */
const EXTRA = 32 + CONTROL_ROOM;
const EXTRA_CONTROL = 32;

/**
 * A list of messages for one sendmmsg or recvmmsg, kept in native memory: for each its place, the other end's address and its
 * control messages. There are as many places as messages; a message that is cut into datagrams by the kernel has several.
 */
export class MessageVector {
  readonly slab: Slab;

  constructor(readonly capacity: number) {
    this.slab = nativeSlab(capacity * (MMSGHDR + IOVEC + EXTRA));
    for (let i = 0; i < capacity; i++) {
      const at = i * MMSGHDR;
      setAddress(this.slab.view, at + NAME, this.slab.at(this.nameAt(i), SOCKADDR_IN6));
      setAddress(this.slab.view, at + CONTROL, this.slab.at(this.controlAt(i), CONTROL_ROOM));
      this.gather(i, i, 1);
    }
  }

  /** Where message i's socket address and control messages are in `slab`. */
  nameAt(i: number): number {
    return this.#extra(i);
  }

  controlAt(i: number): number {
    return this.#extra(i) + EXTRA_CONTROL;
  }

  /** Says what place i is. */
  place(i: number, slab: Slab, offset: number, length: number): void {
    const at = this.#iovec(i);
    setAddress(this.slab.view, at, slab.at(offset, length));
    setAddress(this.slab.view, at + 8, length);
  }

  /** Message i consists of `count` places from `first` on. At first it is place i. */
  gather(i: number, first: number, count: number): void {
    const at = i * MMSGHDR;
    this.#iovec(first + count - 1);
    setAddress(this.slab.view, at + IOV, this.slab.at(this.#iovec(first), count * IOVEC));
    setAddress(this.slab.view, at + IOV_LENGTH, count);
  }

  /** Sets how much of the two rooms is in use (to send) or there to be used (to receive). */
  setLengths(i: number, name: number, control: number): void {
    this.slab.view.setInt32(i * MMSGHDR + NAME_LENGTH, name, true);
    this.slab.view.setInt32(i * MMSGHDR + CONTROL_LENGTH, control, true);
  }

  /** Makes all of both rooms usable. */
  openRooms(i: number): void {
    this.setLengths(i, SOCKADDR_IN6, CONTROL_ROOM);
  }

  /** Bytes of control messages that came with message i. */
  controlLength(i: number): number {
    return this.slab.view.getInt32(i * MMSGHDR + CONTROL_LENGTH, true);
  }

  /** Bytes of message i that were received or sent. */
  length(i: number): number {
    return this.slab.view.getUint32(i * MMSGHDR + LENGTH, true);
  }

  /** The address of the headers of `count` messages from `first` on. */
  address(first: number, count: number): number {
    return this.slab.at(first * MMSGHDR, count * MMSGHDR);
  }

  #extra(i: number): number {
    if (!(i >= 0 && i < this.capacity)) throw new RangeError('no such message');
    return this.capacity * (MMSGHDR + IOVEC) + i * EXTRA;
  }

  #iovec(i: number): number {
    if (!(i >= 0 && i < this.capacity)) throw new RangeError('no such place');
    return this.capacity * MMSGHDR + i * IOVEC;
  }
}
