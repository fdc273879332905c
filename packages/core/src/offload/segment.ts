import type { Slab } from '../slab/slab.js';
import { finish, lengthSum, PROTOCOL_TCP, PROTOCOL_UDP, pseudoSum4, pseudoSum6, sumRange, swap16 } from './checksum.js';
import {
  FLAG_CWR,
  FLAG_FIN,
  FLAG_PSH,
  IP4_CHECKSUM,
  IP4_HEADER,
  IP4_ID,
  IP4_LENGTH,
  IP6_HEADER,
  IP6_LENGTH,
  TCP_CHECKSUM,
  TCP_FLAGS,
  TCP_HEADER,
  TCP_OFFSET,
  TCP_SEQ,
  UDP_CHECKSUM,
  UDP_HEADER,
  UDP_LENGTH,
} from './fields.js';
import {
  GSO_ECN,
  GSO_NONE,
  GSO_TCPV4,
  GSO_TCPV6,
  GSO_UDP_L4,
  NEEDS_CSUM,
  VIRTIO_HEADER,
  VirtioHeader,
} from './virtio.js';

/** Longest headers, IP and transport together, that are cut: IPv4 with all options and TCP with all options are 120. */
export const HEADERS_MAX = 256;
/** How many bytes behind a segment its user may overwrite: room for padding to 16 (WireGuard paper §5.4.6). */
export const SPILL = 16;

/**
 * Cuts what a TUN with offload gives into the packets that it stands for.
 *
 * Theory of operation. A super-packet is one set of headers and the payload of many segments. Segments are made one after the
 * other where the payload lies: the headers of segment k are laid directly in front of its payload, over the end of the payload
 * of segment k-1, which has been sent by then. So no payload byte is moved, and one segment is valid until the next
 * is asked for. A user may write up to SPILL bytes behind the segment (padding); they are the next one's payload, so
 * they are kept and put back.
 *
 * Headers follow the kernel's own segmentation (net/ipv4/tcp_offload.c, udp_offload.c): IPv4 identification counts up, the sequence
 * number advances, FIN and PSH stay on the last segment only and CWR on the first only. What is the same in all segments is
 * summed once; per segment only its payload is summed.
 *
 * Packets that are not super-packets pass through; where the kernel left their checksum to us it is filled in.
 */
export class Segmenter {
  /** the current packet */
  offset = 0;
  length = 0;

  #slab: Slab | null = null;
  readonly #virtio = new VirtioHeader();
  readonly #headers = new Int32Array(HEADERS_MAX / 4);
  /** bytes of all headers, and of the IP header (with options or extension headers) */
  #headersLength = 0;
  #ipLength = 0;
  #version = 4;
  #tcp = true;
  #gsoSize = 0;
  /** where the next segment's payload begins, where all payload ends */
  #next = 0;
  #end = 0;
  #first = true;
  #id = 0;
  #seq = 0;
  #flags = 0;
  /** sums over everything that all segments share */
  #ipSum = 0;
  #transportSum = 0;
  /** the four words behind the current segment, as they were before its user could write there */
  readonly #spilled = new Int32Array(SPILL / 4);
  #restore = false;

  /**
   * Takes what one read from the TUN gave: `length` bytes at slab[offset], virtio-net header first. At least SPILL bytes of
   * slab must follow.
   * @returns whether there are packets, for `next`; false when the header contradicts the packet, which is then dropped
   */
  begin(slab: Slab, offset: number, length: number): boolean {
    this.#slab = null;
    this.#restore = false;
    if (length < VIRTIO_HEADER + IP4_HEADER) return false;
    this.#virtio.read(slab, offset);
    const packet = offset + VIRTIO_HEADER;
    const size = length - VIRTIO_HEADER;
    this.#version = slab.view.getUint8(packet) >> 4;
    const type = this.#virtio.gsoType & ~GSO_ECN;
    const valid = type === GSO_NONE ? this.#beginPlain(slab, packet, size) : this.#beginSuper(slab, packet, size, type);
    if (valid) this.#slab = slab;
    return valid;
  }

  /** Moves on to the next packet: `offset` and `length`, valid until the next call. False when there is none. */
  next(): boolean {
    const slab = this.#slab;
    if (slab === null) return false;
    if (this.#restore) this.#putBack(slab);
    if (this.#gsoSize === 0) {
      // A plain packet: offset and length are set already.
      this.#slab = null;
      return true;
    }
    const payload = this.#next;
    const size = Math.min(this.#gsoSize, this.#end - payload);
    const last = payload + size >= this.#end;
    this.#next = payload + size;
    this.offset = payload - this.#headersLength;
    this.length = this.#headersLength + size;
    this.#layHeaders(slab, payload, size, last);
    this.#first = false;
    if (last) {
      this.#slab = null;
    } else {
      const { view } = slab;
      for (let i = 0; i < SPILL / 4; i++) this.#spilled[i] = view.getInt32(this.#next + 4 * i, true);
      this.#restore = true;
    }
    return true;
  }

  #putBack(slab: Slab): void {
    const { view } = slab;
    for (let i = 0; i < SPILL / 4; i++) view.setInt32(this.#next + 4 * i, this.#spilled[i]!, true);
    this.#restore = false;
  }

  #beginPlain(slab: Slab, packet: number, size: number): boolean {
    const { flags, csumStart, csumOffset } = this.#virtio;
    if ((flags & NEEDS_CSUM) !== 0) {
      if (csumStart < IP4_HEADER || csumStart + csumOffset + 2 > size) return false;
      const at = packet + csumStart + csumOffset;
      // The field holds the pseudo header's sum, which so becomes part of the whole.
      const sum = finish(sumRange(slab, packet + csumStart, size - csumStart));
      // UDP's zero means "no checksum", so zero is sent as its twin (RFC 768); TCP has its field elsewhere.
      slab.view.setUint16(at, sum === 0 && csumOffset === UDP_CHECKSUM ? 0xffff : sum, true);
    }
    this.#gsoSize = 0;
    this.offset = packet;
    this.length = size;
    return true;
  }

  #beginSuper(slab: Slab, packet: number, size: number, type: number): boolean {
    const { view } = slab;
    const { gsoSize, csumStart } = this.#virtio;
    const version = type === GSO_TCPV4 ? 4 : type === GSO_TCPV6 ? 6 : type === GSO_UDP_L4 ? this.#version : 0;
    if (version !== this.#version || gsoSize === 0) return false;
    const tcp = type !== GSO_UDP_L4;
    const ipLength = version === 4 ? (view.getUint8(packet) & 0xf) * 4 : csumStart;
    if (ipLength !== csumStart || ipLength < (version === 4 ? IP4_HEADER : IP6_HEADER)) return false;
    // Headers are copied word by word; every extension header is a multiple of 8 bytes (RFC 8200 §4).
    if ((ipLength & 3) !== 0) return false;
    const transport = packet + ipLength;
    if (ipLength + (tcp ? TCP_HEADER : UDP_HEADER) > size) return false;
    const transportLength = tcp ? (view.getUint8(transport + TCP_OFFSET) >> 4) * 4 : UDP_HEADER;
    const headersLength = ipLength + transportLength;
    if (tcp && transportLength < TCP_HEADER) return false;
    if (headersLength > HEADERS_MAX || headersLength >= size) return false;

    this.#version = version;
    this.#tcp = tcp;
    this.#gsoSize = gsoSize;
    this.#ipLength = ipLength;
    this.#headersLength = headersLength;
    this.#next = packet + headersLength;
    this.#end = packet + size;
    this.#first = true;
    this.#takeHeaders(slab, packet, transport, transportLength);
    return true;
  }

  /** Keeps the headers with everything that differs between segments set to zero, and their sums. */
  #takeHeaders(slab: Slab, packet: number, transport: number, transportLength: number): void {
    const { view } = slab;
    if (this.#version === 4) {
      this.#id = view.getUint16(packet + IP4_ID, false);
      view.setUint16(packet + IP4_ID, 0);
      view.setUint16(packet + IP4_LENGTH, 0);
      view.setUint16(packet + IP4_CHECKSUM, 0);
      this.#ipSum = sumRange(slab, packet, this.#ipLength);
    } else {
      view.setUint16(packet + IP6_LENGTH, 0);
    }
    if (this.#tcp) {
      this.#seq = view.getUint32(transport + TCP_SEQ, false);
      this.#flags = view.getUint8(transport + TCP_FLAGS);
      view.setUint32(transport + TCP_SEQ, 0);
      view.setUint8(transport + TCP_FLAGS, 0);
      view.setUint16(transport + TCP_CHECKSUM, 0);
    } else {
      view.setUint16(transport + UDP_LENGTH, 0);
      view.setUint16(transport + UDP_CHECKSUM, 0);
    }
    const protocol = this.#tcp ? PROTOCOL_TCP : PROTOCOL_UDP;
    const pseudo = this.#version === 4 ? pseudoSum4(slab, packet, protocol) : pseudoSum6(slab, packet, protocol);
    this.#transportSum = pseudo + sumRange(slab, transport, transportLength);
    for (let i = 0; 4 * i < this.#headersLength; i++) this.#headers[i] = view.getInt32(packet + 4 * i, true);
  }

  #layHeaders(slab: Slab, payload: number, size: number, last: boolean): void {
    const { view } = slab;
    const packet = this.offset;
    if (!this.#first) {
      for (let i = 0; 4 * i < this.#headersLength; i++) view.setInt32(packet + 4 * i, this.#headers[i]!, true);
    }
    if (this.#version === 4) {
      view.setUint16(packet + IP4_LENGTH, this.length, false);
      view.setUint16(packet + IP4_ID, this.#id, false);
      view.setUint16(packet + IP4_CHECKSUM, finish(this.#ipSum + swap16(this.length) + swap16(this.#id)), true);
      this.#id = (this.#id + 1) & 0xffff;
    } else {
      view.setUint16(packet + IP6_LENGTH, this.length - IP6_HEADER, false);
    }
    const transport = packet + this.#ipLength;
    const transportSize = this.length - this.#ipLength;
    const shared = this.#transportSum + lengthSum(transportSize) + sumRange(slab, payload, size);
    if (this.#tcp) {
      let flags = this.#flags;
      if (!last) flags &= ~(FLAG_FIN | FLAG_PSH);
      if (!this.#first) flags &= ~FLAG_CWR;
      view.setUint32(transport + TCP_SEQ, this.#seq, false);
      view.setUint8(transport + TCP_FLAGS, flags);
      const sum = shared + swap16(this.#seq >>> 16) + swap16(this.#seq & 0xffff) + swap16(flags);
      view.setUint16(transport + TCP_CHECKSUM, finish(sum), true);
      this.#seq = (this.#seq + size) >>> 0;
    } else {
      view.setUint16(transport + UDP_LENGTH, transportSize, false);
      const sum = finish(shared + swap16(transportSize));
      view.setUint16(transport + UDP_CHECKSUM, sum === 0 ? 0xffff : sum, true);
    }
  }
}
