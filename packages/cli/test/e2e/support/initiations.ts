import { computeMac1, mac1Key } from '@wirestream/core/cookie/mac';
import { Handshake } from '@wirestream/core/noise/handshake';
import { LocalIdentity } from '@wirestream/core/noise/identity';
import { nativeCrypto } from '@wirestream/core/noise/native';
import { HEADER_LENGTH, writeHeader } from '@wirestream/core/stream/header';
import { randomBytes } from 'node:crypto';

/** Where MAC1 begins in an initiation (paper §5.4.2). */
const MAC1 = 116;

/**
 * Well-formed initiations to the holder of `publicKey`, MAC1 included, each from a key that was just made up: all that
 * anybody can make who knows the public key and nothing else.
 */
export function strangersInitiations(publicKey: string, count: number): Uint8Array[] {
  const to = Uint8Array.from(Buffer.from(publicKey, 'base64'));
  const key = mac1Key(nativeCrypto, to);
  return Array.from({ length: count }, (_, i) => {
    const handshake = new Handshake(nativeCrypto, new LocalIdentity(nativeCrypto, randomBytes(32)), to);
    // TAI64N of our days (1970 is 2^62 seconds).
    const timestamp = Buffer.alloc(12);
    timestamp.writeBigUInt64BE((1n << 62n) + BigInt(Math.floor(Date.now() / 1000)));
    const message = handshake.createInitiation(randomBytes(32), i + 1, timestamp)!;
    message.set(computeMac1(nativeCrypto, key, message, 0, message.length), MAC1);
    return message;
  });
}

/** The message as a record on a stream. */
export function asRecord(message: Uint8Array): Uint8Array {
  const record = new Uint8Array(HEADER_LENGTH + message.length);
  writeHeader(record, 0, message.length);
  record.set(message, HEADER_LENGTH);
  return record;
}
