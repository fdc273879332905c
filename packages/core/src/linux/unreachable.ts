import type { Slab } from '../slab/slab.js';
import { finish, lengthSum, pseudoSum6, sumRange } from '../offload/checksum.js';
import {
  IP4_CHECKSUM,
  IP4_FRAGMENT,
  IP4_HEADER,
  IP4_LENGTH,
  IP4_PROTOCOL,
  IP4_TTL,
  IP6_HEADER,
  IP6_HOPS,
  IP6_LENGTH,
  IP6_NEXT,
} from '../offload/fields.js';

/**
 * ICMP's "destination unreachable" for packets that no peer takes, so that whoever sent them learns it at once and not by a time-out.
 * The kernel's WireGuard does the same (device.c wg_xmit).
 */

/** Protocol numbers, types and codes (RFC 792; RFC 4443 §3.1). */
const ICMP = 1;
const ICMP_UNREACHABLE = 3;
const ICMP_HOST = 1;
const ICMPV6 = 58;
const ICMPV6_UNREACHABLE = 1;
const ICMPV6_ADDRESS = 3;
const ICMP_HEADER = 8;
/** Most of the offending packet that is sent along, so that the whole stays within what every host takes (RFC 1812 §4.3.2.3; RFC 4443 §2.4 c). */
const TOTAL4_MAX = 576;
const TOTAL6_MAX = 1280;
const HOP_LIMIT = 64;
/** IPv4 ICMP types that are questions; an error about anything else might answer an error (RFC 1122 §3.2.2). */
const QUESTIONS4 = [8, 13, 17];

/** Room that `writeUnreachable` needs at most. */
export const UNREACHABLE_MAX = TOTAL6_MAX;

/**
 * Lays the answer to the packet of `length` bytes at src[offset] at dst[at]. It comes from the address that could not be reached.
 * @returns its length, or 0 when there must be none: about errors, multicasts, broadcasts, later fragments, unspecified sources
 */
export function writeUnreachable(src: Slab, offset: number, length: number, dst: Slab, at: number): number {
  const version = length < IP4_HEADER ? 0 : src.view.getUint8(offset) >> 4;
  if (version === 4) return deserves4(src, offset, length) ? write4(src, offset, length, dst, at) : 0;
  if (version === 6 && length >= IP6_HEADER) {
    return deserves6(src, offset, length) ? write6(src, offset, length, dst, at) : 0;
  }
  return 0;
}

function deserves4({ view }: Slab, offset: number, length: number): boolean {
  const source = view.getUint8(offset + 12);
  const target = view.getUint8(offset + 16);
  // Source: not this network, loopback, multicast or reserved. Destination: no multicast, no limited broadcast.
  if (source === 0 || source === 127 || source >= 224 || target >= 224) return false;
  if ((view.getUint16(offset + IP4_FRAGMENT) & 0x1fff) !== 0) return false;
  if (view.getUint8(offset + IP4_PROTOCOL) !== ICMP) return true;
  const header = (view.getUint8(offset) & 0xf) * 4;
  return header < length && QUESTIONS4.includes(view.getUint8(offset + header));
}

function deserves6({ view }: Slab, offset: number, length: number): boolean {
  if (view.getUint8(offset + 24) === 0xff || view.getUint8(offset + 8) === 0xff) return false;
  let unspecified = true;
  for (let i = 8; i < 24; i += 4) unspecified &&= view.getUint32(offset + i) === 0;
  if (unspecified) return false;
  if (view.getUint8(offset + IP6_NEXT) !== ICMPV6) return true;
  // Types below 128 are errors.
  return length > IP6_HEADER && view.getUint8(offset + IP6_HEADER) >= 128;
}

function write4(src: Slab, offset: number, length: number, dst: Slab, at: number): number {
  const quoted = Math.min(length, TOTAL4_MAX - IP4_HEADER - ICMP_HEADER);
  const total = IP4_HEADER + ICMP_HEADER + quoted;
  const { view, bytes } = dst;
  bytes.fill(0, at, at + IP4_HEADER + ICMP_HEADER);
  view.setUint8(at, 0x45);
  view.setUint16(at + IP4_LENGTH, total);
  view.setUint8(at + IP4_TTL, HOP_LIMIT);
  view.setUint8(at + IP4_PROTOCOL, ICMP);
  view.setUint32(at + 12, src.view.getUint32(offset + 16));
  view.setUint32(at + 16, src.view.getUint32(offset + 12));
  view.setUint16(at + IP4_CHECKSUM, finish(sumRange(dst, at, IP4_HEADER)), true);
  const icmp = at + IP4_HEADER;
  view.setUint8(icmp, ICMP_UNREACHABLE);
  view.setUint8(icmp + 1, ICMP_HOST);
  bytes.set(src.bytes.subarray(offset, offset + quoted), icmp + ICMP_HEADER);
  view.setUint16(icmp + 2, finish(sumRange(dst, icmp, ICMP_HEADER + quoted)), true);
  return total;
}

function write6(src: Slab, offset: number, length: number, dst: Slab, at: number): number {
  const quoted = Math.min(length, TOTAL6_MAX - IP6_HEADER - ICMP_HEADER);
  const { view, bytes } = dst;
  bytes.fill(0, at, at + IP6_HEADER + ICMP_HEADER);
  view.setUint8(at, 0x60);
  view.setUint16(at + IP6_LENGTH, ICMP_HEADER + quoted);
  view.setUint8(at + IP6_NEXT, ICMPV6);
  view.setUint8(at + IP6_HOPS, HOP_LIMIT);
  bytes.set(src.bytes.subarray(offset + 24, offset + 40), at + 8);
  bytes.set(src.bytes.subarray(offset + 8, offset + 24), at + 24);
  const icmp = at + IP6_HEADER;
  view.setUint8(icmp, ICMPV6_UNREACHABLE);
  view.setUint8(icmp + 1, ICMPV6_ADDRESS);
  bytes.set(src.bytes.subarray(offset, offset + quoted), icmp + ICMP_HEADER);
  const size = ICMP_HEADER + quoted;
  const sum = pseudoSum6(dst, at, ICMPV6) + lengthSum(size) + sumRange(dst, icmp, size);
  view.setUint16(icmp + 2, finish(sum), true);
  return IP6_HEADER + size;
}
