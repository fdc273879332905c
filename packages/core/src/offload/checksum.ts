import type { Slab } from '../slab/slab.js';

/**
 * The Internet checksum (RFC 1071) over ranges of slabs.
 *
 * Sums are taken over 16-bit words read little-endian, as they lie in memory, and are stored the same way: the ones'
 * complement sum does not care about byte order as long as all of it uses one (RFC 1071 §2 B). So a number that is added by itself
 * (a length, a protocol) goes through `swap16` first, and a finished checksum is written with little-endian set. Sums are
 * plain numbers that are folded to 16 bits once at the end; at most 2^16 words keep them far from losing precision.
 */

/** Bytes that one round of `Slab.vectorSum` takes. */
export const VECTOR = 32;
/** Shorter ranges (headers) are summed sooner than WebAssembly is called, bytes. */
const WORTH_A_CALL = 128;

/** Sum of the 16-bit words of a range, not folded; a last odd byte counts as if a zero byte followed. */
export function sumRange(slab: Slab, offset: number, length: number): number {
  if (slab.vectorSum === null || length < WORTH_A_CALL) return sumWords(slab, offset, length);
  const most = length & -VECTOR;
  return slab.vectorSum(offset, offset + most) + sumWords(slab, offset + most, length - most);
}

function sumWords(slab: Slab, offset: number, length: number): number {
  const { view } = slab;
  // Two accumulators of at most 2^30 each (64 KiB are 2^14 words of 32 bits), so that both stay small integers.
  let low = 0;
  let high = 0;
  let at = offset;
  const end = offset + length;
  const end16 = end - 15;
  while (at < end16) {
    const a = view.getInt32(at, true);
    const b = view.getInt32(at + 4, true);
    const c = view.getInt32(at + 8, true);
    const d = view.getInt32(at + 12, true);
    low += (a & 0xffff) + (b & 0xffff) + (c & 0xffff) + (d & 0xffff);
    high += (a >>> 16) + (b >>> 16) + (c >>> 16) + (d >>> 16);
    at += 16;
  }
  while (at + 1 < end) {
    low += view.getUint16(at, true);
    at += 2;
  }
  if (at < end) low += view.getUint8(at);
  return low + high;
}

/** Adds the carries back in (RFC 1071 §2) until 16 bits are left. */
export function fold(sum: number): number {
  // 2^32 is 1 modulo 2^16 - 1; what is left then has at most 17 bits after the first folding.
  const small = sum < 0x1_0000_0000 ? sum : (sum % 0x1_0000_0000) + Math.floor(sum / 0x1_0000_0000);
  const once = (small & 0xffff) + (small >>> 16);
  return (once & 0xffff) + (once >>> 16);
}

/** The checksum of a sum: folded and complemented, ready to be stored little-endian. */
export function finish(sum: number): number {
  return ~fold(sum) & 0xffff;
}

/** A 16-bit number in network order as a word of a sum, and back. */
export function swap16(value: number): number {
  return ((value & 0xff) << 8) | ((value >>> 8) & 0xff);
}

/** IP protocol numbers (IANA). */
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;

/** Sum of the IPv4 addresses at a header, and of the protocol: the pseudo header (RFC 9293 §3.1) without its length. */
export function pseudoSum4(slab: Slab, header: number, protocol: number): number {
  return sumRange(slab, header + 12, 8) + swap16(protocol);
}

/** The same for IPv6 (RFC 8200 §8.1). */
export function pseudoSum6(slab: Slab, header: number, protocol: number): number {
  return sumRange(slab, header + 8, 32) + swap16(protocol);
}

/** A length as a part of a pseudo header, which for IPv6 has 32 bits. */
export function lengthSum(length: number): number {
  return swap16(length & 0xffff) + swap16(length >>> 16);
}

/**
 * The checksum after one 16-bit word that it covers has changed (RFC 1624, equation 3). All three as stored, little-endian.
 */
export function updateChecksum(checksum: number, before: number, after: number): number {
  return finish((~checksum & 0xffff) + (~before & 0xffff) + after);
}
