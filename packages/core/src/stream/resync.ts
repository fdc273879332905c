import { FLAG_FRAGMENT, HEADER_LENGTH, RECORD_TYPE, headerLength, recordChecksum, recordLengthAt } from './header.js';

/** Bytes looked at one by one before the engine's own search takes over, whose call costs as much as some twenty of them. */
const NEAR = 16;

/**
 * The offset of the first valid header that begins in [from, end - 7], or -1. Every header begins with a zero byte
 * (no record is 2^24 bytes long), so the search leaps from zero byte to zero byte; and none begins with four (no record is empty), so
 * it leaps to the end of a run of zeros as well. Damage that was made to look like headers must not cost much more than noise does: the
 * checksum, which is what nearly all of those fail, comes before the rest.
 */
export function findHeader(bytes: Uint8Array, from: number, end: number): number {
  const last = end - HEADER_LENGTH;
  let at = from;
  while (at <= last) {
    if (bytes[at] !== 0) {
      at = nextZero(bytes, at + 1, end);
      if (at < 0 || at > last) return -1;
    }
    const length = (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
    if (length === 0) {
      at = nextOther(bytes, at + 4, end) - 3;
      continue;
    }
    const flags = bytes[at + 5]!;
    if (
      bytes[at + 4] === RECORD_TYPE &&
      flags <= FLAG_FRAGMENT &&
      ((bytes[at + 6]! << 8) | bytes[at + 7]!) === recordChecksum(length, RECORD_TYPE, flags) &&
      recordLengthAt(bytes, at) !== 0
    ) {
      return at;
    }
    at++;
  }
  return -1;
}

/** The first zero byte in [from, end), perhaps behind it; -1 when there is none. */
function nextZero(bytes: Uint8Array, from: number, end: number): number {
  const near = Math.min(from + NEAR, end);
  for (let at = from; at < near; at++) if (bytes[at] === 0) return at;
  return near < end ? bytes.indexOf(0, near) : -1;
}

/** The first byte in [from, end) that is not zero, or `end`. */
function nextOther(bytes: Uint8Array, from: number, end: number): number {
  let at = from;
  while (at < end && bytes[at] === 0) at++;
  return at;
}

/** What can be said of a header that was found by searching, from the message behind it. */
export type Likelihood = 'message' | 'noise' | 'more bytes needed';

/** Exact lengths of initiation, response and cookie reply (paper §5.4), by type. */
const EXACT = [0, 148, 92, 64] as const;
const DATA = 4;

/**
 * Looks at the first four bytes of the message behind a valid header: type 1–4, three reserved zero bytes, and the
 * length that goes with the type. A data message may have any length from 32 up: full-size packets of a tunnel whose MTU is no
 * multiple of 16 are not padded past it (kernel send.c), so 1420 byte packets make messages of 1452 bytes, not 32 + 16 n.
 */
export function judgeMessage(bytes: Uint8Array, offset: number, end: number): Likelihood {
  const length = recordLengthAt(bytes, offset);
  if (length === 0) return 'noise';
  const message = offset + headerLength(bytes[offset + 5]!);
  if (message + 4 > end) return 'more bytes needed';
  const type = bytes[message]!;
  if (type < 1 || type > DATA || bytes[message + 1] !== 0 || bytes[message + 2] !== 0 || bytes[message + 3] !== 0) {
    return 'noise';
  }
  return type === DATA || offset + length - message === EXACT[type] ? 'message' : 'noise';
}
