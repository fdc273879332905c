import { finish, sum, swap16, type VectorSum } from './checksum.js';

/** IP protocol numbers (IANA). */
export const PROTOCOL_ICMP = 1;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;
export const PROTOCOL_ICMPV6 = 58;

export const IPV4_HEADER = 20;
export const IPV6_HEADER = 40;

/** IPv6 extension headers that may be stepped over (RFC 8200 §4): hop-by-hop, routing, destination options. */
const HOP_BY_HOP = 0;
const ROUTING = 43;
const DESTINATION = 60;
const FRAGMENT = 44;
/** More of them in one packet than anyone sends. */
const EXTENSIONS_MAX = 8;

/**
 * A look at one inner packet where it lies. One object serves all packets; the offsets point into the view that was parsed.
 * Inner packets were already measured (version, header and total length) when they were opened, but nothing is taken for granted here.
 */
export class IpPacket {
  /** of the slab that it lies in, where that can be summed fast */
  vectorSum: VectorSum | null = null;
  view: DataView = new DataView(new ArrayBuffer(0));
  version: 4 | 6 = 4;
  /** where the packet begins, and its length as its header says */
  offset = 0;
  length = 0;
  /** where the addresses are, and how long one is */
  source = 0;
  destination = 0;
  addressLength: 4 | 16 = 4;
  protocol = 0;
  payload = 0;
  payloadLength = 0;

  isFragment = false;
  identification = 0;
  /** bytes */
  fragmentOffset = 0;
  moreFragments = false;
  #addressSum = 0;

  /** @returns false when [offset, offset + length) does not hold one whole IP packet that a host would accept */
  parse(view: DataView, offset: number, length: number): boolean {
    if (length < IPV4_HEADER) return false;
    this.view = view;
    this.offset = offset;
    this.isFragment = false;
    const version = view.getUint8(offset) >> 4;
    if (version === 4) return this.#ipv4(view, offset, length);
    return version === 6 && this.#ipv6(view, offset, length);
  }

  #ipv4(view: DataView, offset: number, length: number): boolean {
    const header = (view.getUint8(offset) & 15) * 4;
    const total = view.getUint16(offset + 2);
    if (header < IPV4_HEADER || total < header || total > length) return false;
    if (finish(sum(view, offset, header)) !== 0) return false;
    const fragment = view.getUint16(offset + 6);
    this.version = 4;
    this.addressLength = 4;
    this.length = total;
    this.source = offset + 12;
    this.destination = offset + 16;
    this.protocol = view.getUint8(offset + 9);
    this.payload = offset + header;
    this.payloadLength = total - header;
    this.identification = view.getUint16(offset + 4);
    this.fragmentOffset = (fragment & 0x1fff) * 8;
    this.moreFragments = (fragment & 0x2000) !== 0;
    this.isFragment = this.moreFragments || this.fragmentOffset !== 0;
    this.#sumAddresses();
    return true;
  }

  #ipv6(view: DataView, offset: number, length: number): boolean {
    if (length < IPV6_HEADER) return false;
    const total = IPV6_HEADER + view.getUint16(offset + 4);
    if (total > length) return false;
    this.version = 6;
    this.addressLength = 16;
    this.length = total;
    this.source = offset + 8;
    this.destination = offset + 24;
    const end = offset + total;
    let at = offset + IPV6_HEADER;
    let next = view.getUint8(offset + 6);
    for (let n = 0; n < EXTENSIONS_MAX; n++) {
      if (next === FRAGMENT) {
        if (end - at < 8) return false;
        const field = view.getUint16(at + 2);
        next = view.getUint8(at);
        this.identification = view.getUint32(at + 4);
        this.fragmentOffset = field & 0xfff8;
        this.moreFragments = (field & 1) !== 0;
        // An atomic fragment is a whole packet (RFC 6946).
        this.isFragment = this.moreFragments || this.fragmentOffset !== 0;
        at += 8;
        if (this.isFragment) break;
      } else if (next === HOP_BY_HOP || next === ROUTING || next === DESTINATION) {
        if (end - at < 8) return false;
        const extension = (view.getUint8(at + 1) + 1) * 8;
        next = view.getUint8(at);
        at += extension;
        if (at > end) return false;
      } else break;
    }
    this.protocol = next;
    this.payload = at;
    this.payloadLength = end - at;
    this.#sumAddresses();
    return true;
  }

  #sumAddresses(): void {
    this.#addressSum = sum(this.view, this.source, 2 * this.addressLength);
  }

  /** Sum of the pseudo header for a payload of `length` bytes (RFC 9293 §3.1, RFC 8200 §8.1). */
  pseudoSum(length: number): number {
    return this.#addressSum + swap16(this.protocol) + swap16(length);
  }

  /** A copy of the source address. */
  sourceAddress(): Uint8Array {
    return this.#address(this.source);
  }

  /** A copy of the destination address. */
  destinationAddress(): Uint8Array {
    return this.#address(this.destination);
  }

  #address(offset: number): Uint8Array {
    return new Uint8Array(this.view.buffer, this.view.byteOffset + offset, this.addressLength).slice();
  }
}
