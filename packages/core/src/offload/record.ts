import { TRANSPORT_OVERHEAD } from '../messages/constants.js';
import type { Slab } from '../slab/slab.js';
import { HEADER_LENGTH, RECORD_MAX } from '../stream/header.js';
import { fold, lengthSum, PROTOCOL_TCP, pseudoSum4, pseudoSum6, sumRange } from './checksum.js';
import {
  FLAG_ACK,
  FLAG_CWR,
  FLAG_ECE,
  FLAG_FIN,
  FLAG_PSH,
  IP4_FRAGMENT,
  IP4_FRAGMENTED,
  IP4_HEADER,
  IP4_LENGTH,
  IP4_PROTOCOL,
  IP6_HEADER,
  IP6_LENGTH,
  IP6_NEXT,
  TCP_CHECKSUM,
  TCP_FLAGS,
  TCP_HEADER,
  TCP_OFFSET,
} from './fields.js';
import { GSO_ECN, GSO_TCPV4, GSO_TCPV6, NEEDS_CSUM, VIRTIO_HEADER } from './virtio.js';

/**
 * Offload records: a super-packet of TCP as one transport message, between two wirestreams that both know of it. docs/offload-records.md is the same for
 * implementers.
 *
 * Theory of operation. The plaintext is what a TUN with offload gave: a virtio-net header of 10 bytes, then the packet, then padding. Its first
 * byte is the header's flags, which are 1: no IP packet begins like that, nor does a control message, and a WireGuard that does not know of it drops it
 * after authentication. What arrives is handed to the kernel, as a header that the kernel acts on; so nothing of it is taken on trust. Every
 * field must have the one value that the packet behind it asks for, and the packet must be one that cutting up, by the kernel or by
 * us, turns into ordinary segments: TCP with data, no IP options, extension headers or fragments, no SYN, RST or urgent data. The
 * sender puts what its own TUN gave through the same sieve, and whatever does not pass travels as single packets. So the rules may be
 * strict, and nothing that a well-behaved peer sends is lost by them.
 */

/** Longest plaintext, so that a record is no longer than the header of the stream allows. */
export const OFFLOAD_PLAINTEXT_MAX = RECORD_MAX - HEADER_LENGTH - TRANSPORT_OVERHEAD;
/** Padding is to a multiple of this, or to OFFLOAD_PLAINTEXT_MAX (paper §5.4.6). */
const PADDING_MULTIPLE = 16;
/** Most segments: 64 KiB of the smallest MSS that anyone uses (536, RFC 9293 §3.7.1) are 122. Bounds what one message can make the receiver do. */
export const SEGMENTS_MAX = 128;
/** What a segment of a train may have besides ACK. CWR goes with the ECN bit of the GSO type (virtio 1.2 §5.1.6.2). */
const FLAGS_ALLOWED = FLAG_ACK | FLAG_PSH | FLAG_FIN | FLAG_ECE | FLAG_CWR;

/** Whether a plaintext that is not empty is meant to be an offload record. */
export function isOffloadRecord(bytes: Uint8Array, offset: number): boolean {
  return bytes[offset] === NEEDS_CSUM;
}

/** The size that a record of `length` bytes, virtio-net header and packet, is sealed at. */
export function offloadPadded(length: number): number {
  return Math.min((length + PADDING_MULTIPLE - 1) & -PADDING_MULTIPLE, OFFLOAD_PLAINTEXT_MAX);
}

/**
 * Makes an offload record of what a TUN gave, in place: `length` bytes at slab[offset], virtio-net header first.
 * @returns false when it cannot be one; then it is as it was, but for the header's hint of the headers' length
 */
export function makeOffloadRecord(slab: Slab, offset: number, length: number): boolean {
  const { view } = slab;
  const packet = offset + VIRTIO_HEADER;
  const ip = view.getUint8(packet) >> 4 === 4 ? IP4_HEADER : IP6_HEADER;
  if (length < VIRTIO_HEADER + ip + TCP_HEADER) return false;
  // The kernel says how much it had in one piece, which is often more than the headers.
  view.setUint16(offset + HDR_LEN, ip + (view.getUint8(packet + ip + TCP_OFFSET) >> 4) * 4, true);
  return offloadRecordLength(slab, offset, length) === length;
}

/**
 * Checks a plaintext of `available` bytes at slab[offset], padding included.
 * @returns the bytes of virtio-net header and packet together, or 0 when anything is not as it has to be
 */
export function offloadRecordLength(slab: Slab, offset: number, available: number): number {
  if (available < VIRTIO_HEADER + IP4_HEADER + TCP_HEADER || available > OFFLOAD_PLAINTEXT_MAX) return 0;
  const { view } = slab;
  const packet = offset + VIRTIO_HEADER;
  const version = view.getUint8(packet) >> 4;
  const type = view.getUint8(offset + GSO_TYPE);
  if (view.getUint8(offset) !== NEEDS_CSUM) return 0;
  if ((type & ~GSO_ECN) !== (version === 4 ? GSO_TCPV4 : version === 6 ? GSO_TCPV6 : -1)) return 0;

  // The IP header, and how long the packet says it is.
  const ip = version === 4 ? IP4_HEADER : IP6_HEADER;
  const space = available - VIRTIO_HEADER;
  if (space < ip + TCP_HEADER) return 0;
  const length = version === 4 ? view.getUint16(packet + IP4_LENGTH) : view.getUint16(packet + IP6_LENGTH) + IP6_HEADER;
  if (length > space || space - length >= PADDING_MULTIPLE) return 0;
  if (version === 4) {
    if (view.getUint8(packet) !== PLAIN_IP4 || view.getUint8(packet + IP4_PROTOCOL) !== PROTOCOL_TCP) return 0;
    if ((view.getUint16(packet + IP4_FRAGMENT) & IP4_FRAGMENTED) !== 0) return 0;
    if (fold(sumRange(slab, packet, IP4_HEADER)) !== 0xffff) return 0;
  } else if (view.getUint8(packet + IP6_NEXT) !== PROTOCOL_TCP) return 0;

  // The TCP header.
  const tcp = packet + ip;
  const offsetAndReserved = view.getUint8(tcp + TCP_OFFSET);
  const headers = ip + (offsetAndReserved >> 4) * 4;
  if (headers < ip + TCP_HEADER || (offsetAndReserved & 0xf) !== 0) return 0;
  const flags = view.getUint8(tcp + TCP_FLAGS);
  if ((flags & FLAG_ACK) === 0 || (flags & ~FLAGS_ALLOWED) !== 0) return 0;
  if (((flags & FLAG_CWR) !== 0) !== ((type & GSO_ECN) !== 0)) return 0;

  // The rest of the virtio-net header: all of it follows from the packet, but for the size of the segments.
  if (view.getUint16(offset + HDR_LEN, true) !== headers) return 0;
  if (view.getUint16(offset + CSUM_START, true) !== ip) return 0;
  if (view.getUint16(offset + CSUM_OFFSET, true) !== TCP_CHECKSUM) return 0;
  const segment = view.getUint16(offset + GSO_SIZE, true);
  const payload = length - headers;
  // At least two segments: otherwise it would have been a packet. (Headers longer than the packet leave less than none.)
  if (segment === 0 || payload <= segment || payload > segment * SEGMENTS_MAX) return 0;

  // The checksum is to be completed by whoever cuts the packet up: so far it is the pseudo header's.
  const pseudo = version === 4 ? pseudoSum4(slab, packet, PROTOCOL_TCP) : pseudoSum6(slab, packet, PROTOCOL_TCP);
  if (view.getUint16(tcp + TCP_CHECKSUM, true) !== fold(pseudo + lengthSum(length - ip))) return 0;
  return VIRTIO_HEADER + length;
}

/** Version 4, a header of 20 bytes. */
const PLAIN_IP4 = 0x45;
/** Where the fields of the virtio-net header are (virtio.ts). */
const GSO_TYPE = 1;
const HDR_LEN = 2;
const GSO_SIZE = 4;
const CSUM_START = 6;
const CSUM_OFFSET = 8;
