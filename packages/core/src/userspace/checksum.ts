/**
 * The Internet checksum (RFC 1071).
 *
 * Sums are taken over 16-bit words as they lie in memory, read little-endian, and a finished checksum is stored little-endian: the
 * ones' complement sum does not care which byte order is used as long as it is one (RFC 1071 §2 B). Numbers that are added by
 * themselves go through `swap16`.
 */

/** Sums [at, end) by vector instructions, where the memory has them; the length is a multiple of VECTOR and not zero (Slab.vectorSum). */
export type VectorSum = (at: number, end: number) => number;

const VECTOR = 32;
/** Shorter ranges are summed, or copied, sooner word by word than by calling something that is good at it, bytes. */
const WORTH_A_CALL = 256;

/**
 * Sum of the words of a range, not folded; a last odd byte counts as if a zero byte followed. At most 64 KiB.
 * @param vector of the slab that the view is of
 */
export function sum(view: DataView, offset: number, length: number, vector: VectorSum | null = null): number {
  if (vector === null || length < WORTH_A_CALL) return sumWords(view, offset, length);
  const most = length & -VECTOR;
  return vector(offset, offset + most) + sumWords(view, offset + most, length - most);
}

function sumWords(view: DataView, offset: number, length: number): number {
  // Two accumulators of at most 2^30 each, so that both stay small integers.
  let low = 0;
  let high = 0;
  let at = offset;
  const end = offset + length;
  for (const stop = end - 7; at < stop; at += 8) {
    const a = view.getInt32(at, true);
    const b = view.getInt32(at + 4, true);
    low += (a & 0xffff) + (b & 0xffff);
    high += (a >>> 16) + (b >>> 16);
  }
  for (; at + 1 < end; at += 2) low += view.getUint16(at, true);
  if (at < end) low += view.getUint8(at);
  return low + high;
}

/**
 * Copies a range and sums it. Source and target do not overlap.
 * @param vector of the slab that `to` is of
 */
export function copyAndSum(
  from: DataView,
  source: number,
  to: DataView,
  target: number,
  length: number,
  vector: VectorSum | null = null,
): number {
  if (vector === null || length < WORTH_A_CALL) return copyWords(from, source, to, target, length);
  const bytes = new Uint8Array(from.buffer, from.byteOffset + source, length);
  new Uint8Array(to.buffer, to.byteOffset + target, length).set(bytes);
  return sum(to, target, length, vector);
}

/** Both in one pass. */
function copyWords(from: DataView, source: number, to: DataView, target: number, length: number): number {
  let low = 0;
  let high = 0;
  let at = 0;
  for (const stop = length - 7; at < stop; at += 8) {
    const a = from.getInt32(source + at, true);
    const b = from.getInt32(source + at + 4, true);
    to.setInt32(target + at, a, true);
    to.setInt32(target + at + 4, b, true);
    low += (a & 0xffff) + (b & 0xffff);
    high += (a >>> 16) + (b >>> 16);
  }
  for (; at + 1 < length; at += 2) {
    const word = from.getUint16(source + at, true);
    to.setUint16(target + at, word, true);
    low += word;
  }
  if (at < length) {
    const byte = from.getUint8(source + at);
    to.setUint8(target + at, byte);
    low += byte;
  }
  return low + high;
}

/** The checksum of a sum, ready to be stored little-endian. The sum is below 2^48. */
export function finish(total: number): number {
  let folded = total;
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x1_0000);
  return ~folded & 0xffff;
}

/** A 16-bit number in network order as a word of a sum. */
export function swap16(value: number): number {
  return ((value & 0xff) << 8) | ((value >>> 8) & 0xff);
}
