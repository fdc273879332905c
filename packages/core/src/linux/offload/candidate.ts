import type { Slab } from '../../slab/slab.js';
import {
  fold,
  lengthSum,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  pseudoSum4,
  pseudoSum6,
  sumRange,
} from '../../offload/checksum.js';
import {
  FLAG_ACK,
  FLAG_PSH,
  IP4_FRAGMENT,
  IP4_FRAGMENTED,
  IP4_HEADER,
  IP4_ID,
  IP4_LENGTH,
  IP4_PROTOCOL,
  IP4_TOS,
  IP4_TTL,
  IP6_HEADER,
  IP6_HOPS,
  IP6_LENGTH,
  IP6_NEXT,
  TCP_ACK,
  TCP_FLAGS,
  TCP_HEADER,
  TCP_OFFSET,
  TCP_SEQ,
  TCP_URGENT,
  TCP_WINDOW,
  UDP_CHECKSUM,
  UDP_HEADER,
  UDP_LENGTH,
} from '../../offload/fields.js';

/**
 * One received packet, looked at for whether it may become part of a super-packet. Kept and used again.
 *
 * `read` says what flow it belongs to and whether it could be merged at all; `follows` whether it continues another packet. Everything
 * in the headers that segmentation would not reproduce exactly has to be the same in both.
 */
export class Candidate {
  offset = 0;
  length = 0;
  version = 0;
  tcp = false;
  /** whether ports are known, so that the packet has a flow whose order counts */
  hasFlow = false;
  /** whether it may be merged with others, checksums apart */
  mergeable = false;
  ipLength = 0;
  headersLength = 0;
  /** payload bytes */
  payload = 0;
  id = 0;
  seq = 0;
  /** PSH ends a super-packet: segmentation leaves it on the last segment only */
  push = false;

  /** Reads the packet of `length` bytes at slab[offset]. */
  read(slab: Slab, offset: number, length: number): void {
    const { view } = slab;
    this.offset = offset;
    this.length = length;
    this.hasFlow = false;
    this.mergeable = false;
    this.version = length < IP4_HEADER ? 0 : view.getUint8(offset) >> 4;
    let protocol: number;
    let plain: boolean;
    if (this.version === 4) {
      protocol = view.getUint8(offset + IP4_PROTOCOL);
      this.ipLength = (view.getUint8(offset) & 0xf) * 4;
      this.id = view.getUint16(offset + IP4_ID, false);
      if ((view.getUint16(offset + IP4_FRAGMENT, false) & IP4_FRAGMENTED) !== 0) return;
      plain = this.ipLength === IP4_HEADER && view.getUint16(offset + IP4_LENGTH, false) === length;
      if (this.ipLength < IP4_HEADER) return;
    } else if (this.version === 6 && length >= IP6_HEADER) {
      protocol = view.getUint8(offset + IP6_NEXT);
      this.ipLength = IP6_HEADER;
      plain = view.getUint16(offset + IP6_LENGTH, false) === length - IP6_HEADER;
    } else {
      return;
    }
    this.tcp = protocol === PROTOCOL_TCP;
    if (this.tcp) this.#readTcp(slab, plain);
    else if (protocol === PROTOCOL_UDP) this.#readUdp(slab, plain);
  }

  #readTcp(slab: Slab, plain: boolean): void {
    const { view } = slab;
    const transport = this.offset + this.ipLength;
    if (this.ipLength + TCP_HEADER > this.length) return;
    this.hasFlow = true;
    const transportLength = (view.getUint8(transport + TCP_OFFSET) >> 4) * 4;
    this.headersLength = this.ipLength + transportLength;
    this.payload = this.length - this.headersLength;
    this.seq = view.getUint32(transport + TCP_SEQ, false);
    const flags = view.getUint8(transport + TCP_FLAGS);
    this.push = (flags & FLAG_PSH) !== 0;
    // Data under ACK, perhaps PSH, and nothing else: SYN, FIN, RST, URG and the ECN signals travel alone. The low bits
    // beside the data offset are reserved ones and must be clear.
    this.mergeable =
      plain &&
      transportLength >= TCP_HEADER &&
      this.payload > 0 &&
      (flags & ~FLAG_PSH) === FLAG_ACK &&
      (view.getUint8(transport + TCP_OFFSET) & 0xf) === 0;
  }

  #readUdp(slab: Slab, plain: boolean): void {
    const { view } = slab;
    const transport = this.offset + this.ipLength;
    if (this.ipLength + UDP_HEADER > this.length) return;
    this.hasFlow = true;
    this.push = false;
    this.headersLength = this.ipLength + UDP_HEADER;
    this.payload = this.length - this.headersLength;
    // A datagram without a checksum would have one after segmentation.
    this.mergeable =
      plain &&
      this.payload > 0 &&
      view.getUint16(transport + UDP_LENGTH, false) === this.payload + UDP_HEADER &&
      view.getUint16(transport + UDP_CHECKSUM) !== 0;
  }

  /** Whether the packet whose IP header is at slab[first] is of this one's flow; both have one, and both are of one version and protocol. */
  sameFlow(slab: Slab, first: number, firstIpLength: number): boolean {
    const { view } = slab;
    const here = this.offset;
    // Ports first: they differ most often.
    if (view.getInt32(first + firstIpLength, true) !== view.getInt32(here + this.ipLength, true)) return false;
    const from = this.version === 4 ? 12 : 8;
    const to = this.version === 4 ? 20 : 40;
    for (let i = from; i < to; i += 4) {
      if (view.getInt32(first + i, true) !== view.getInt32(here + i, true)) return false;
    }
    return true;
  }

  /**
   * Whether all header fields that segmentation takes over unchanged are the same as in the mergeable packet at slab[first] of the same
   * flow and of `firstHeadersLength`. Identification, sequence number and lengths are the caller's to compare.
   */
  sameHeaders(slab: Slab, first: number, firstHeadersLength: number): boolean {
    const { view } = slab;
    const here = this.offset;
    if (firstHeadersLength !== this.headersLength) return false;
    if (this.version === 4) {
      if (view.getUint8(first + IP4_TOS) !== view.getUint8(here + IP4_TOS)) return false;
      if (view.getUint8(first + IP4_TTL) !== view.getUint8(here + IP4_TTL)) return false;
      if (view.getUint16(first + IP4_FRAGMENT) !== view.getUint16(here + IP4_FRAGMENT)) return false;
    } else {
      // Version, traffic class and flow label.
      if (view.getInt32(first) !== view.getInt32(here)) return false;
      if (view.getUint8(first + IP6_HOPS) !== view.getUint8(here + IP6_HOPS)) return false;
    }
    if (!this.tcp) return true;
    const a = first + this.ipLength;
    const b = here + this.ipLength;
    if (view.getInt32(a + TCP_ACK) !== view.getInt32(b + TCP_ACK)) return false;
    if (view.getUint16(a + TCP_WINDOW) !== view.getUint16(b + TCP_WINDOW)) return false;
    if (view.getUint16(a + TCP_URGENT) !== view.getUint16(b + TCP_URGENT)) return false;
    const options = this.headersLength - this.ipLength;
    for (let i = TCP_HEADER; i < options; i += 4) {
      if (view.getInt32(a + i, true) !== view.getInt32(b + i, true)) return false;
    }
    return true;
  }

  /** Whether the IPv4 header's and the transport's checksums are right: merging would put right ones in place of wrong ones. */
  checksumsValid(slab: Slab): boolean {
    return checksumsValid(slab, this.offset, this.length, this.ipLength, this.version, this.tcp);
  }
}

/** The same of a packet that was looked at before. */
export function checksumsValid(
  slab: Slab,
  offset: number,
  length: number,
  ipLength: number,
  version: number,
  tcp: boolean,
): boolean {
  if (version === 4 && fold(sumRange(slab, offset, ipLength)) !== 0xffff) return false;
  const protocol = tcp ? PROTOCOL_TCP : PROTOCOL_UDP;
  const pseudo = version === 4 ? pseudoSum4(slab, offset, protocol) : pseudoSum6(slab, offset, protocol);
  const size = length - ipLength;
  return fold(pseudo + lengthSum(size) + sumRange(slab, offset + ipLength, size)) === 0xffff;
}
