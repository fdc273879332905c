import type { Slab } from '../../slab/slab.js';
import { Candidate, checksumsValid } from './candidate.js';
import {
  finish,
  fold,
  lengthSum,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  pseudoSum4,
  pseudoSum6,
  sumRange,
} from '../../offload/checksum.js';
import {
  FLAG_PSH,
  IP4_CHECKSUM,
  IP4_LENGTH,
  IP6_HEADER,
  IP6_LENGTH,
  TCP_CHECKSUM,
  TCP_FLAGS,
  UDP_CHECKSUM,
  UDP_LENGTH,
} from '../../offload/fields.js';
import {
  GSO_TCPV4,
  GSO_TCPV6,
  GSO_UDP_L4,
  NEEDS_CSUM,
  VIRTIO_HEADER,
  VirtioHeader,
  writePlainHeader,
} from '../../offload/virtio.js';

/** Largest IP packet, bytes: its length field has 16 bits. */
const PACKET_MAX = 65535;
/** Most packets in one super-packet: 64 KiB of segments of the smallest MSS that anyone uses (536, RFC 9293 §3.7.1) are 122. */
export const PIECES_MAX = 128;
/** How many of the latest groups a packet is compared with; flows that are busy at the same time in one batch are few. */
const SEARCH_MAX = 16;

/** Takes what the coalescer puts out. */
export interface PacketWriter {
  /**
   * One packet or super-packet with its virtio-net header: `count` pieces, in order, piece i of `lengths[i]` bytes at
   * slab[offsets[i]]. Valid during the call.
   */
  write(slab: Slab, offsets: Int32Array, lengths: Int32Array, count: number): void;
}

/**
 * Puts received packets of one flow together into super-packets, as the kernel's GRO does (net/ipv4/tcp_offload.c).
 *
 * Theory of operation. Packets of a batch are added where they were decrypted, in one slab. A group begins with any packet; a packet that
 * continues the latest group of its flow joins it, as one more piece for a gathering write, so that no payload is moved. A packet
 * of a flow that cannot join closes that flow's group and begins its own; groups leave in the order in which they were begun. So
 * the packets of a flow leave in the order in which they came. What may join: cutting the super-packet up again must give
 * exactly the packets that it was made of, bit by bit, wherever the kernel does that; and packets with a wrong checksum stay alone,
 * so that nothing vouches for them.
 * Fragments, packets with extension headers and malformed ones show no ports: they are nobody's flow, stay alone, and order is not kept with them.
 *
 * With one packet in it a group is written as it came.
 */
export class Coalescer {
  readonly #writer: PacketWriter;
  readonly #slab: Slab;
  readonly #udp: boolean;
  readonly #packet = new Candidate();
  readonly #virtio = new VirtioHeader();

  /** packets of this batch: where, how much, and the next one of the same group (-1: none) */
  readonly #pieceOffset: Int32Array;
  readonly #pieceLength: Int32Array;
  readonly #pieceNext: Int32Array;
  #pieces = 0;

  /** groups of this batch, by the number of their first piece, which they keep everything under */
  readonly #groups: Int32Array;
  #groupCount = 0;
  readonly #tail: Int32Array;
  readonly #count: Int32Array;
  /** bytes of the whole IP packet */
  readonly #total: Int32Array;
  readonly #ipLength: Int32Array;
  readonly #headersLength: Int32Array;
  /** payload bytes of the first piece, which is the size of all but the last */
  readonly #segment: Int32Array;
  readonly #nextSeq: Float64Array;
  readonly #nextId: Int32Array;
  /** KIND_* or-ed together */
  readonly #kind: Uint8Array;

  readonly #outOffsets = new Int32Array(PIECES_MAX);
  readonly #outLengths = new Int32Array(PIECES_MAX);

  /**
   * @param slab where the packets are; VIRTIO_HEADER bytes in front of each are written to
   * @param udp whether UDP super-packets may be made
   * @param capacity most packets in one batch; `add` flushes when it is reached
   */
  constructor(slab: Slab, udp: boolean, writer: PacketWriter, capacity = 1024) {
    this.#slab = slab;
    this.#udp = udp;
    this.#writer = writer;
    this.#pieceOffset = new Int32Array(capacity);
    this.#pieceLength = new Int32Array(capacity);
    this.#pieceNext = new Int32Array(capacity);
    this.#groups = new Int32Array(capacity);
    this.#tail = new Int32Array(capacity);
    this.#count = new Int32Array(capacity);
    this.#total = new Int32Array(capacity);
    this.#ipLength = new Int32Array(capacity);
    this.#headersLength = new Int32Array(capacity);
    this.#segment = new Int32Array(capacity);
    this.#nextSeq = new Float64Array(capacity);
    this.#nextId = new Int32Array(capacity);
    this.#kind = new Uint8Array(capacity);
  }

  /** Packets added since the last flush. */
  get pending(): number {
    return this.#pieces;
  }

  /** Adds the IP packet of `length` bytes at slab[offset]; it stays where it is until `flush` has returned. */
  add(offset: number, length: number): void {
    if (this.#pieces === this.#pieceOffset.length) this.flush();
    const packet = this.#packet;
    packet.read(this.#slab, offset, length);
    if (!packet.tcp && !this.#udp) packet.mergeable = false;
    const piece = this.#pieces++;
    this.#pieceOffset[piece] = offset;
    this.#pieceLength[piece] = length;
    this.#pieceNext[piece] = -1;
    if (packet.hasFlow) {
      const group = this.#find();
      if (group >= 0) {
        if (packet.mergeable && this.#joins(group)) {
          this.#join(group, piece);
          return;
        }
        this.#kind[group] = this.#kind[group]! & ~KIND_OPEN;
      }
    }
    this.#begin(piece);
  }

  /** Writes everything that was added, in order, and forgets it. */
  flush(): void {
    for (let i = 0; i < this.#groupCount; i++) {
      const group = this.#groups[i]!;
      let count = 0;
      for (let piece = group; piece >= 0; piece = this.#pieceNext[piece]!) {
        const header = count === 0 ? 0 : this.#headersLength[group]!;
        this.#outOffsets[count] = this.#pieceOffset[piece]! + header;
        this.#outLengths[count] = this.#pieceLength[piece]! - header;
        count++;
      }
      const packet = this.#outOffsets[0]!;
      if (count === 1) writePlainHeader(this.#slab, packet - VIRTIO_HEADER);
      else this.#layHeaders(group, packet);
      this.#outOffsets[0] = packet - VIRTIO_HEADER;
      this.#outLengths[0] = this.#outLengths[0]! + VIRTIO_HEADER;
      this.#writer.write(this.#slab, this.#outOffsets, this.#outLengths, count);
    }
    this.#groupCount = 0;
    this.#pieces = 0;
  }

  /** The latest group of the packet's flow if it is still open, else -1. */
  #find(): number {
    const packet = this.#packet;
    const kind = KIND_OPEN | (packet.tcp ? KIND_TCP : 0) | (packet.version === 6 ? KIND_IPV6 : 0);
    const stop = Math.max(0, this.#groupCount - SEARCH_MAX);
    for (let i = this.#groupCount - 1; i >= stop; i--) {
      const group = this.#groups[i]!;
      if ((this.#kind[group]! & ~(KIND_CHECKED | KIND_PUSH)) !== kind) continue;
      if (packet.sameFlow(this.#slab, this.#pieceOffset[group]!, this.#ipLength[group]!)) return group;
    }
    return -1;
  }

  /** Whether the packet, which is mergeable and of the group's flow, continues it. */
  #joins(group: number): boolean {
    const packet = this.#packet;
    const first = this.#pieceOffset[group]!;
    if (packet.tcp && packet.seq !== this.#nextSeq[group]) return false;
    if (packet.version === 4 && packet.id !== this.#nextId[group]) return false;
    if (packet.payload > this.#segment[group]!) return false;
    if (this.#total[group]! + packet.payload > PACKET_MAX || this.#count[group] === PIECES_MAX) return false;
    if (!packet.sameHeaders(this.#slab, first, this.#headersLength[group]!)) return false;
    if (!packet.checksumsValid(this.#slab)) return false;
    if ((this.#kind[group]! & KIND_CHECKED) !== 0) return true;
    const length = this.#pieceLength[group]!;
    const valid = checksumsValid(this.#slab, first, length, this.#ipLength[group]!, packet.version, packet.tcp);
    if (valid) this.#kind[group] = this.#kind[group]! | KIND_CHECKED;
    return valid;
  }

  #join(group: number, piece: number): void {
    const packet = this.#packet;
    this.#pieceNext[this.#tail[group]!] = piece;
    this.#tail[group] = piece;
    this.#count[group] = this.#count[group]! + 1;
    this.#total[group] = this.#total[group]! + packet.payload;
    this.#nextSeq[group] = (packet.seq + packet.payload) >>> 0;
    this.#nextId[group] = (packet.id + 1) & 0xffff;
    // Only the last segment may be shorter, and only the last may have PSH.
    let kind = this.#kind[group]!;
    if (packet.push) kind |= KIND_PUSH;
    if (packet.push || packet.payload < this.#segment[group]!) kind &= ~KIND_OPEN;
    this.#kind[group] = kind;
  }

  #begin(group: number): void {
    const packet = this.#packet;
    this.#groups[this.#groupCount++] = group;
    this.#tail[group] = group;
    this.#count[group] = 1;
    this.#total[group] = packet.length;
    this.#ipLength[group] = packet.ipLength;
    this.#headersLength[group] = packet.headersLength;
    this.#segment[group] = packet.payload;
    this.#nextSeq[group] = (packet.seq + packet.payload) >>> 0;
    this.#nextId[group] = (packet.id + 1) & 0xffff;
    let kind = (packet.tcp ? KIND_TCP : 0) | (packet.version === 6 ? KIND_IPV6 : 0);
    if (packet.mergeable && !packet.push) kind |= KIND_OPEN;
    this.#kind[group] = kind;
  }

  /** Turns the headers of the first piece into those of the whole, and lays the virtio-net header in front. */
  #layHeaders(group: number, packet: number): void {
    const slab = this.#slab;
    const { view } = slab;
    const kind = this.#kind[group]!;
    const total = this.#total[group]!;
    const ipLength = this.#ipLength[group]!;
    const transport = packet + ipLength;
    const size = total - ipLength;
    const tcp = (kind & KIND_TCP) !== 0;
    const ipv6 = (kind & KIND_IPV6) !== 0;
    if (ipv6) {
      view.setUint16(packet + IP6_LENGTH, total - IP6_HEADER, false);
    } else {
      view.setUint16(packet + IP4_LENGTH, total, false);
      view.setUint16(packet + IP4_CHECKSUM, 0);
      view.setUint16(packet + IP4_CHECKSUM, finish(sumRange(slab, packet, ipLength)), true);
    }
    const protocol = tcp ? PROTOCOL_TCP : PROTOCOL_UDP;
    const pseudo = ipv6 ? pseudoSum6(slab, packet, protocol) : pseudoSum4(slab, packet, protocol);
    const checksum = tcp ? TCP_CHECKSUM : UDP_CHECKSUM;
    view.setUint16(transport + checksum, fold(pseudo + lengthSum(size)), true);
    if (!tcp) view.setUint16(transport + UDP_LENGTH, size, false);
    if ((kind & KIND_PUSH) !== 0) {
      view.setUint8(transport + TCP_FLAGS, view.getUint8(transport + TCP_FLAGS) | FLAG_PSH);
    }
    const virtio = this.#virtio;
    virtio.flags = NEEDS_CSUM;
    virtio.gsoType = tcp ? (ipv6 ? GSO_TCPV6 : GSO_TCPV4) : GSO_UDP_L4;
    virtio.hdrLen = this.#headersLength[group]!;
    virtio.gsoSize = this.#segment[group]!;
    virtio.csumStart = ipLength;
    virtio.csumOffset = checksum;
    virtio.write(slab, packet - VIRTIO_HEADER);
  }
}

/** What kind of group it is: more packets may join; the first piece's checksums have been verified; the last one has PSH. */
const KIND_OPEN = 1;
const KIND_TCP = 2;
const KIND_IPV6 = 4;
const KIND_CHECKED = 8;
const KIND_PUSH = 16;
