import { WirestreamError } from '../device/errors.js';
import { portFilter, type Instruction } from './bpf.js';
import { EAGAIN, EINTR, EPERM, errnoName } from './errno.js';
import { setAddress } from './iovecs.js';
import { errno, libc } from './libc.js';
import { nativeSlab } from './nativeslab.js';
import { setOption } from './sockopts.js';
import { checked, close, MSG_DONTWAIT, MSG_TRUNC } from './syscalls.js';

/**
 * A packet socket (packet(7)): sees what goes over a network interface, ours and others'.
 *
 * Packets come "cooked", from their IP header on: whatever the interface, and without the tags that the card took off. A filter in the kernel
 * lets through only what may belong to the ports that are watched. Nothing is ever sent.
 */

/** bits/socket.h, linux/if_packet.h, linux/if_ether.h, asm-generic/socket.h */
const AF_PACKET = 17;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SOL_PACKET = 263;
const SO_ATTACH_FILTER = 26;
const SO_RCVBUF = 8;
const SO_RCVBUFFORCE = 33;
const SO_TIMESTAMPNS = 35;
const PACKET_STATISTICS = 6;
const PACKET_OUTGOING = 4;
const ETH_P_ALL = 3;
const ARPHRD_LOOPBACK = 772;
/** What waits in the kernel while we do something else, bytes. */
const BUFFER = 64 << 20;
/** The largest packet: a super-packet that the card or the kernel has put together. */
const PACKET_MAX = 1 << 18;

/** Where things are in the scratch slab. */
const HEADER = 0;
const IOVEC = 64;
const NAME = 96;
const CONTROL = 128;
const CONTROL_ROOM = 128;
const FILTER = 512;
const SCRATCH = 16_384;
/** struct sockaddr_ll; struct cmsghdr */
const NAME_LENGTH = 20;
const CMSG_HEADER = 16;

/** Takes one packet: `length` bytes at `offset`, of `original` on the wire. */
export type PacketTaker = (
  bytes: Uint8Array,
  offset: number,
  length: number,
  original: number,
  seconds: number,
  nanoseconds: number,
) => void;

export class PacketSocket {
  readonly #fd: number;
  readonly #scratch = nativeSlab(SCRATCH);
  readonly #packet = nativeSlab(PACKET_MAX);
  #dropped = 0;

  /**
   * @param index of the interface; 0 for all
   * @throws WirestreamError capture-forbidden, capture-failed
   */
  constructor(index: number, ports: readonly number[]) {
    // Protocol 0: nothing comes before the filter is there.
    this.#fd = checked(libc.socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (this.#fd < 0) throw failure(this.#fd);
    const result = [
      () => this.#filter(portFilter(ports)),
      () => setOption(this.#fd, SOL_SOCKET, SO_TIMESTAMPNS, 1),
      () => {
        // The second one is bounded by net.core.rmem_max, and allowed to everybody.
        const forced = setOption(this.#fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER);
        return forced < 0 ? setOption(this.#fd, SOL_SOCKET, SO_RCVBUF, BUFFER) : forced;
      },
      () => this.#bind(index),
    ].reduce((before, step) => (before < 0 ? before : step()), 0);
    if (result < 0) {
      close(this.#fd);
      throw failure(result);
    }
    this.#prepare();
  }

  /** Hands on what waits, at most `most` packets. @returns how many */
  receive(taker: PacketTaker, most: number): number {
    const { view } = this.#scratch;
    for (let n = 0; n < most; n++) {
      view.setUint32(HEADER + 8, NAME_LENGTH, true);
      setAddress(view, HEADER + 40, CONTROL_ROOM);
      const length = libc.recvmsg(this.#fd, this.#scratch.at(HEADER, 56), MSG_DONTWAIT | MSG_TRUNC);
      if (length < 0) {
        const error = errno();
        if (error === EINTR) continue;
        if (error === EAGAIN) return n;
        throw failure(-error);
      }
      // On a loopback interface everything is seen twice, going out and coming in.
      const isLoopback = view.getUint16(NAME + 8, true) === ARPHRD_LOOPBACK;
      if (isLoopback && view.getUint8(NAME + 10) === PACKET_OUTGOING) continue;
      const [seconds, nanoseconds] = this.#stamp();
      taker(this.#packet.bytes, 0, Math.min(length, PACKET_MAX), length, seconds, nanoseconds);
    }
    return most;
  }

  /** Packets that the kernel had no room for since the beginning. */
  get dropped(): number {
    const { view } = this.#scratch;
    view.setUint32(CONTROL, 8, true);
    const result = libc.getsockopt(
      this.#fd,
      SOL_PACKET,
      PACKET_STATISTICS,
      this.#scratch.at(CONTROL + 8, 8),
      this.#scratch.at(CONTROL, 4),
    );
    // The kernel counts from zero again each time.
    if (result >= 0) this.#dropped += view.getUint32(CONTROL + 12, true);
    return this.#dropped;
  }

  close(): void {
    close(this.#fd);
  }

  #filter(program: readonly Instruction[]): number {
    const { view } = this.#scratch;
    program.forEach(({ code, jt, jf, k }, i) => {
      const at = FILTER + 16 + 8 * i;
      view.setUint16(at, code, true);
      view.setUint8(at + 2, jt);
      view.setUint8(at + 3, jf);
      view.setUint32(at + 4, k, true);
    });
    view.setUint16(FILTER, program.length, true);
    setAddress(view, FILTER + 8, this.#scratch.at(FILTER + 16, 8 * program.length));
    return checked(libc.setsockopt(this.#fd, SOL_SOCKET, SO_ATTACH_FILTER, this.#scratch.at(FILTER, 16), 16));
  }

  #bind(index: number): number {
    const { view, bytes } = this.#scratch;
    bytes.fill(0, NAME, NAME + NAME_LENGTH);
    view.setUint16(NAME, AF_PACKET, true);
    view.setUint16(NAME + 2, ETH_P_ALL, false);
    view.setInt32(NAME + 4, index, true);
    return checked(libc.bind(this.#fd, this.#scratch.at(NAME, NAME_LENGTH), NAME_LENGTH));
  }

  #prepare(): void {
    const { view } = this.#scratch;
    setAddress(view, HEADER, this.#scratch.at(NAME, NAME_LENGTH));
    setAddress(view, HEADER + 16, this.#scratch.at(IOVEC, 16));
    setAddress(view, HEADER + 24, 1);
    setAddress(view, HEADER + 32, this.#scratch.at(CONTROL, CONTROL_ROOM));
    setAddress(view, IOVEC, this.#packet.at(0, PACKET_MAX));
    setAddress(view, IOVEC + 8, PACKET_MAX);
  }

  /** Seconds and nanoseconds since the Unix epoch, as the kernel stamped the packet. */
  #stamp(): readonly [number, number] {
    const { view } = this.#scratch;
    const end = CONTROL + view.getUint32(HEADER + 40, true);
    for (let at = CONTROL; at + CMSG_HEADER <= end;) {
      const length = view.getUint32(at, true);
      if (length < CMSG_HEADER) break;
      if (view.getInt32(at + 8, true) === SOL_SOCKET && view.getInt32(at + 12, true) === SO_TIMESTAMPNS) {
        const seconds = view.getUint32(at + 16, true) + view.getUint32(at + 20, true) * 2 ** 32;
        return [seconds, view.getUint32(at + 24, true)];
      }
      at += (length + 7) & ~7;
    }
    return [0, 0];
  }
}

function failure(result: number): WirestreamError {
  return result === -EPERM
    ? new WirestreamError('capture-forbidden', 'capturing needs privileges', 'run it as root or with CAP_NET_RAW')
    : new WirestreamError('capture-failed', `cannot capture: ${errnoName(result)}`);
}
