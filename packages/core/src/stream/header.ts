/**
 * The record header of the kernel TCP module: what marks where one WireGuard message ends and the next begins on a TCP
 * stream. Integers are big-endian.
 *
 *     0     4    5     6        8            12
 *     +-----+----+-----+--------+------------+---------…
 *     | len |type|flags|checksum| (fragment) | message
 *     +-----+----+-----+--------+------------+---------…
 *
 * `len` counts the whole record, header included. The checksum finds boundaries; it authenticates nothing.
 */

/** Bytes of a header without fragment metadata. */
export const HEADER_LENGTH = 8;
/** Bytes of the metadata that follows when FLAG_FRAGMENT is set: the inner packet's identification and fragment field. */
export const FRAGMENT_LENGTH = 4;
/** The only valid type: a WireGuard message. */
export const RECORD_TYPE = 0;
/** The inner packet is an IPv4 fragment; its identification and flags+offset field follow the header. */
export const FLAG_FRAGMENT = 1;
/** The smallest WireGuard message: a keepalive (paper §5.4.6). */
const MESSAGE_MIN = 32;
/** The longest record: what a UDP datagram could have carried, and a header. */
export const RECORD_MAX = 65535 + HEADER_LENGTH;
/** The shortest record. */
export const RECORD_MIN = HEADER_LENGTH + MESSAGE_MIN;

const CHECKSUM_ROTATION = 5;
const CHECKSUM_MASK = 0xa5a5;

/** The checksum of a header's other fields. */
export function recordChecksum(length: number, type: number, flags: number): number {
  const c = ((length >>> 16) ^ (length & 0xffff) ^ ((flags << 8) | type)) & 0xffff;
  return (((c << CHECKSUM_ROTATION) | (c >>> (16 - CHECKSUM_ROTATION))) & 0xffff) ^ CHECKSUM_MASK;
}

/** Bytes in front of the message: 8, or 12 with fragment metadata. */
export function headerLength(flags: number): number {
  return (flags & FLAG_FRAGMENT) !== 0 ? HEADER_LENGTH + FRAGMENT_LENGTH : HEADER_LENGTH;
}

/**
 * The length of the record whose header is at `offset`, or 0 when those 8 bytes are no valid header.
 * At least HEADER_LENGTH bytes must be there.
 */
export function recordLengthAt(bytes: Uint8Array, offset: number): number {
  if (bytes[offset] !== 0 || bytes[offset + 4] !== RECORD_TYPE) return 0;
  const flags = bytes[offset + 5]!;
  if ((flags & ~FLAG_FRAGMENT) !== 0) return 0;
  const length = (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!;
  if (length < headerLength(flags) + MESSAGE_MIN || length > RECORD_MAX) return 0;
  const checksum = (bytes[offset + 6]! << 8) | bytes[offset + 7]!;
  return checksum === recordChecksum(length, RECORD_TYPE, flags) ? length : 0;
}

/** Writes the header of a record that carries `messageLength` bytes and no fragment metadata. */
export function writeHeader(bytes: Uint8Array, offset: number, messageLength: number): void {
  put(bytes, offset, HEADER_LENGTH + messageLength, 0);
}

/**
 * Writes the header of a record whose inner packet is an IPv4 fragment.
 * @param identification the inner packet's identification field
 * @param fragment its flags and fragment offset field, as one 16-bit number
 */
export function writeFragmentHeader(
  bytes: Uint8Array,
  offset: number,
  messageLength: number,
  identification: number,
  fragment: number,
): void {
  put(bytes, offset, HEADER_LENGTH + FRAGMENT_LENGTH + messageLength, FLAG_FRAGMENT);
  bytes[offset + 8] = identification >>> 8;
  bytes[offset + 9] = identification;
  bytes[offset + 10] = fragment >>> 8;
  bytes[offset + 11] = fragment;
}

function put(bytes: Uint8Array, offset: number, length: number, flags: number): void {
  const checksum = recordChecksum(length, RECORD_TYPE, flags);
  bytes[offset] = 0;
  bytes[offset + 1] = length >>> 16;
  bytes[offset + 2] = length >>> 8;
  bytes[offset + 3] = length;
  bytes[offset + 4] = RECORD_TYPE;
  bytes[offset + 5] = flags;
  bytes[offset + 6] = checksum >>> 8;
  bytes[offset + 7] = checksum;
}
