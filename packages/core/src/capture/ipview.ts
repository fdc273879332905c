import { u16, u32 } from './feed.js';

/** IP protocol numbers (IANA). */
export const Protocol = { tcp: 6, udp: 17, icmp: 1, icmpv6: 58 } as const;

/** IPv6 headers that may stand before the payload and that say how long they are (RFC 8200 §4, RFC 7045). */
const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const AUTHENTICATION = 51;
const DESTINATION = 60;
const MOBILITY = 135;
const HOST_IDENTITY = 139;
const SHIM6 = 140;

/** TCP flags (RFC 9293 §3.1). */
export const Tcp = { fin: 1, syn: 2, rst: 4, ack: 16 } as const;

/**
 * A look at one IP packet and at the TCP segment or UDP datagram in it. One object is reused for all packets; its
 * offsets point into the bytes that were parsed. Lengths are what the headers say, `captured` is what is there.
 */
export class IpView {
  version: 4 | 6 = 4;
  protocol = 0;
  /** addresses at these offsets of the bytes given to `parse`, 4 or 16 bytes long */
  sourceAddress = 0;
  destinationAddress = 0;
  addressLength: 4 | 16 = 4;
  /** where the payload begins, how long it is on the wire, and how much of that was captured */
  payloadOffset = 0;
  payloadLength = 0;
  captured = 0;
  /** of a fragment: its identification, offset in bytes, and whether more follow */
  isFragment = false;
  identification = 0;
  fragmentOffset = 0;
  moreFragments = false;

  sourcePort = 0;
  destinationPort = 0;
  /** TCP only */
  sequence = 0;
  acknowledgement = 0;
  flags = 0;

  /**
   * Parses the IP header and, for IPv6, the extension headers.
   * @param wireEnd where the packet ended on the wire, if the capture cut it: a length that says more is damaged
   * @returns false when [offset, end) holds no IP packet, or too little of one
   */
  parse(bytes: Uint8Array, offset: number, end: number, wireEnd = end): boolean {
    if (offset >= end) return false;
    const version = bytes[offset]! >> 4;
    if (version === 4) return this.#ipv4(bytes, offset, end, wireEnd);
    return version === 6 && this.#ipv6(bytes, offset, end, wireEnd);
  }

  #ipv4(bytes: Uint8Array, offset: number, end: number, wireEnd: number): boolean {
    const header = (bytes[offset]! & 15) * 4;
    if (header < 20 || end - offset < header) return false;
    // Zero: an aggregate longer than the field can say, or not filled in yet, as captures made with TSO have.
    const stated = u16(bytes, offset + 2, false);
    const total = stated === 0 ? wireEnd - offset : Math.min(stated, wireEnd - offset);
    if (total < header) return false;
    const fragment = u16(bytes, offset + 6, false);
    this.version = 4;
    this.addressLength = 4;
    this.protocol = bytes[offset + 9]!;
    this.sourceAddress = offset + 12;
    this.destinationAddress = offset + 16;
    this.payloadOffset = offset + header;
    this.payloadLength = total - header;
    this.captured = Math.min(this.payloadLength, end - this.payloadOffset);
    this.identification = u16(bytes, offset + 4, false);
    this.fragmentOffset = (fragment & 0x1fff) * 8;
    this.moreFragments = (fragment & 0x2000) !== 0;
    this.isFragment = this.moreFragments || this.fragmentOffset !== 0;
    return true;
  }

  #ipv6(bytes: Uint8Array, offset: number, end: number, wireEnd: number): boolean {
    if (end - offset < 40) return false;
    const stated = u16(bytes, offset + 4, false);
    // Zero: a jumbogram, or an aggregate of TSO; either way what is there is all that is known.
    let at = offset + 40;
    const total = stated === 0 ? wireEnd - at : Math.min(stated, wireEnd - at);
    const stop = at + total;
    let next = bytes[offset + 6]!;
    this.version = 6;
    this.addressLength = 16;
    this.sourceAddress = offset + 8;
    this.destinationAddress = offset + 24;
    this.isFragment = false;
    for (;;) {
      if (next === FRAGMENT) {
        if (Math.min(end, stop) - at < 8) return false;
        const field = u16(bytes, at + 2, false);
        next = bytes[at]!;
        this.identification = u32(bytes, at + 4, false);
        this.fragmentOffset = field & 0xfff8;
        this.moreFragments = (field & 1) !== 0;
        // An "atomic" fragment is a whole packet (RFC 6946).
        this.isFragment = this.moreFragments || this.fragmentOffset !== 0;
        at += 8;
        if (this.isFragment) break;
      } else if (isExtension(next)) {
        if (Math.min(end, stop) - at < 8) return false;
        const length = next === AUTHENTICATION ? (bytes[at + 1]! + 2) * 4 : (bytes[at + 1]! + 1) * 8;
        next = bytes[at]!;
        at += length;
        if (at > stop || at > end) return false;
      } else break;
    }
    this.protocol = next;
    this.payloadOffset = at;
    this.payloadLength = stop - at;
    this.captured = Math.min(this.payloadLength, end - at);
    return this.captured >= 0;
  }

  /** Parses the TCP header at the payload, which becomes the segment's payload. False when it is cut or impossible. */
  parseTcp(bytes: Uint8Array): boolean {
    if (this.captured < 20) return false;
    const at = this.payloadOffset;
    const header = (bytes[at + 12]! >> 4) * 4;
    // Options may be cut off: then nothing of what they stand before is there either.
    if (header < 20 || header > this.payloadLength) return false;
    this.sourcePort = u16(bytes, at, false);
    this.destinationPort = u16(bytes, at + 2, false);
    this.sequence = u32(bytes, at + 4, false);
    this.acknowledgement = u32(bytes, at + 8, false);
    this.flags = bytes[at + 13]!;
    this.#enter(header);
    return true;
  }

  /** Parses the UDP header at the payload, which becomes the datagram's payload. False when it is cut or impossible. */
  parseUdp(bytes: Uint8Array): boolean {
    if (this.captured < 8) return false;
    const at = this.payloadOffset;
    const length = u16(bytes, at + 4, false);
    if (length !== 0 && (length < 8 || length > this.payloadLength)) return false;
    this.sourcePort = u16(bytes, at, false);
    this.destinationPort = u16(bytes, at + 2, false);
    if (length !== 0) {
      this.payloadLength = length;
      this.captured = Math.min(this.captured, length);
    }
    this.#enter(8);
    return true;
  }

  #enter(header: number): void {
    this.payloadOffset += header;
    this.payloadLength -= header;
    this.captured = Math.max(0, this.captured - header);
  }
}

function isExtension(next: number): boolean {
  return (
    next === HOP_BY_HOP ||
    next === ROUTING ||
    next === DESTINATION ||
    next === AUTHENTICATION ||
    next === MOBILITY ||
    next === HOST_IDENTITY ||
    next === SHIM6
  );
}
