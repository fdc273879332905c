import { mac1Offset, mac2Offset } from '../messages/parse.js';
import { equalBytes, isZero } from '../noise/bytes.js';
import { MAC_LENGTH } from '../noise/crypto.js';
import type { Crypto } from '../noise/crypto.js';

/**
 * MAC1 and MAC2, the last 32 bytes of initiations and responses (WireGuard paper §5.4.4). MAC1 shows that the sender
 * knows the receiver's public key; MAC2 shows that it can receive at the address it sends from, because it is keyed
 * with a cookie that was sent there.
 */

const label = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0));
const LABEL_MAC1 = label('mac1----');
const LABEL_COOKIE = label('cookie--');

/** The key of MAC1 in messages to the holder of this public key. */
export function mac1Key(crypto: Crypto, receiverStatic: Uint8Array): Uint8Array {
  return crypto.hash(LABEL_MAC1, receiverStatic);
}

/** The key that cookies from the holder of this public key are sealed with. */
export function cookieKey(crypto: Crypto, senderStatic: Uint8Array): Uint8Array {
  return crypto.hash(LABEL_COOKIE, senderStatic);
}

/** Over all bytes before MAC1. `length` is the message's, which begins at `offset`. */
export function computeMac1(
  crypto: Crypto,
  key: Uint8Array,
  bytes: Uint8Array,
  offset: number,
  length: number,
): Uint8Array {
  return crypto.mac(key, bytes.subarray(offset, offset + mac1Offset(length)));
}

/** Over all bytes before MAC2, MAC1 included. */
export function computeMac2(
  crypto: Crypto,
  cookie: Uint8Array,
  bytes: Uint8Array,
  offset: number,
  length: number,
): Uint8Array {
  return crypto.mac(cookie, bytes.subarray(offset, offset + mac2Offset(length)));
}

export function verifyMac1(
  crypto: Crypto,
  key: Uint8Array,
  bytes: Uint8Array,
  offset: number,
  length: number,
): boolean {
  const mac1 = computeMac1(crypto, key, bytes, offset, length);
  return equalBytes(mac1, 0, bytes, offset + mac1Offset(length), MAC_LENGTH);
}

export function verifyMac2(
  crypto: Crypto,
  cookie: Uint8Array,
  bytes: Uint8Array,
  offset: number,
  length: number,
): boolean {
  const mac2 = computeMac2(crypto, cookie, bytes, offset, length);
  return equalBytes(mac2, 0, bytes, offset + mac2Offset(length), MAC_LENGTH);
}

/** Whether the sender had a cookie to use at all: MAC2 is all zero when it had none. */
export function hasMac2(bytes: Uint8Array, offset: number, length: number): boolean {
  return !isZero(bytes.subarray(offset + mac2Offset(length), offset + length));
}
