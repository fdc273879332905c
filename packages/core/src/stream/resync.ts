import { FLAG_FRAGMENT, HEADER_LENGTH, RECORD_TYPE, headerLength, recordLengthAt } from './header.js';

/**
 * The offset of the first valid header that begins in [from, end - 7], or -1. Every header begins with a zero byte
 * (no record is 2^24 bytes long), so the search leaps from zero byte to zero byte.
 */
export function findHeader(bytes: Uint8Array, from: number, end: number): number {
  const last = end - HEADER_LENGTH;
  let at = from;
  while (at <= last) {
    if (bytes[at] !== 0) {
      at = bytes.indexOf(0, at);
      if (at < 0 || at > last) return -1;
    }
    if (
      bytes[at + 4] === RECORD_TYPE &&
      bytes[at + 5]! <= FLAG_FRAGMENT &&
      bytes[at + 1]! <= 1 &&
      recordLengthAt(bytes, at) !== 0
    ) {
      return at;
    }
    at++;
  }
  return -1;
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
