import { equalBytes } from '../noise/bytes.js';
import { KEY_LENGTH, TAG_LENGTH, XNONCE_LENGTH, type Crypto, type TransportCipher } from '../noise/crypto.js';
import { nativeCrypto } from '../noise/native.js';
import { portableCrypto } from '../noise/portable.js';
import { ChaChaPolyCipher } from './chachapoly.js';
import { EvpCipher } from './evp.js';
import { nativeSlab } from './nativeslab.js';

/** Handshakes by node:crypto, transport messages by EVP. */
export const evpCrypto: Crypto = {
  ...nativeCrypto,
  name: "native (OpenSSL's EVP, and node:crypto)",
  cipher: (key) => new EvpCipher(key),
};

/** Transport messages by OpenSSL's parts without EVP around them. */
export const chachaPolyCrypto: Crypto = {
  ...nativeCrypto,
  name: "native (OpenSSL's ChaCha20 and Poly1305 by call list, and node:crypto)",
  cipher: (key) => new ChaChaPolyCipher(key),
};

/** Providers whose ciphers take native slabs only. */
export function wantsNativeSlabs(crypto: Crypto): boolean {
  return crypto === chachaPolyCrypto || crypto === evpCrypto;
}

export interface CryptoChoice {
  readonly crypto: Crypto;
  /** one line for people: what is in use, and what was wrong with what would have been faster */
  readonly why: string;
}

/**
 * The fastest provider that computes the same as noble does here and now. A native library can be missing, cut down by a
 * system-wide policy, or built wrongly; each is tried before it is trusted with traffic.
 */
export function chooseCrypto(
  candidates: readonly Crypto[] = [chachaPolyCrypto, evpCrypto, nativeCrypto],
): CryptoChoice {
  const rejected: string[] = [];
  for (const crypto of candidates) {
    const fault = selfTest(crypto);
    if (fault === null) return { crypto, why: explain(crypto, rejected) };
    rejected.push(`not ${crypto.name}: ${fault}`);
  }
  return { crypto: portableCrypto, why: explain(portableCrypto, rejected) };
}

function explain(crypto: Crypto, rejected: readonly string[]): string {
  if (rejected.length === 0) return `${crypto.name}: the fastest, and equal to noble in the self-test`;
  return `${crypto.name}; ${rejected.join('; ')}`;
}

/** Message lengths around block and vector widths, and the largest. */
const LENGTHS = [0, 1, 15, 16, 17, 63, 64, 65, 255, 1420, 4096, 65_535];

/** Compares all primitives with noble's. @returns what is wrong, or null */
export function selfTest(crypto: Crypto): string | null {
  try {
    return testPrimitives(crypto) ?? testCipher(crypto);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function testPrimitives(crypto: Crypto): string | null {
  const key = pattern(KEY_LENGTH, 1);
  const other = pattern(KEY_LENGTH, 2);
  const text = pattern(100, 3);
  const nonce = pattern(XNONCE_LENGTH, 4);
  const results = (c: Crypto): (Uint8Array | null)[] => {
    const publicKey = c.publicKey(other);
    const sealed = c.seal(key, 7, text, nonce);
    const xsealed = c.xseal(key, nonce, text, other);
    return [
      publicKey,
      c.sharedSecret(key, publicKey),
      c.sharedSecret(key, new Uint8Array(KEY_LENGTH)),
      c.hash(text, nonce),
      c.hmac(key, text, nonce),
      c.mac(key, text, nonce),
      sealed,
      c.open(key, 7, sealed, nonce),
      c.open(key, 8, sealed, nonce),
      xsealed,
      c.xopen(key, nonce, xsealed, other),
      c.xopen(key, nonce, xsealed, text),
    ];
  };
  const expected = results(portableCrypto);
  return results(crypto).every((result, i) => same(result, expected[i]!)) ? null : 'a primitive differs from noble';
}

function testCipher(crypto: Crypto): string | null {
  const key = pattern(KEY_LENGTH, 5);
  const cipher = crypto.cipher(key);
  const twin = portableCrypto.cipher(key);
  try {
    for (const [i, length] of LENGTHS.entries()) {
      const fault = testLength(cipher, twin, length, i);
      if (fault !== null) return `${fault} at ${length} bytes`;
    }
    return null;
  } finally {
    cipher.wipe();
    twin.wipe();
  }
}

function testLength(cipher: TransportCipher, twin: TransportCipher, length: number, i: number): string | null {
  const room = length + TAG_LENGTH + 64;
  const source = nativeSlab(room);
  const sealed = nativeSlab(room);
  const opened = nativeSlab(room);
  const expected = nativeSlab(room);
  const hi = i * 0x1000_0001;
  const lo = 0xffff_fff0 + i;
  source.bytes.set(pattern(length, i), 3);
  twin.seal(hi, lo >>> 0, source, 3, length, expected, 5);
  cipher.seal(hi, lo >>> 0, source, 3, length, sealed, 5);
  if (!equalBytes(sealed.bytes, 0, expected.bytes, 0, room)) return 'sealing differs from noble';
  if (!cipher.open(hi, lo >>> 0, sealed, 5, length + TAG_LENGTH, opened, 3)) return 'opening failed';
  if (!equalBytes(opened.bytes, 3, source.bytes, 3, length)) return 'opening gave something else';
  for (const at of [5, 5 + length]) {
    sealed.bytes[at]! ^= 0x80;
    if (cipher.open(hi, lo >>> 0, sealed, 5, length + TAG_LENGTH, opened, 3)) return 'a forgery was accepted';
    sealed.bytes[at]! ^= 0x80;
  }
  cipher.seal(hi, lo >>> 0, source, 3, length, source, 3);
  if (!equalBytes(source.bytes, 3, expected.bytes, 5, length + TAG_LENGTH)) return 'sealing in place differs';
  return null;
}

/** Bytes that are not random but not regular either. */
function pattern(length: number, seed: number): Uint8Array {
  const out = new Uint8Array(length);
  let state = seed * 2654435761 + 1;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    out[i] = state >>> 16;
  }
  return out;
}

function same(a: Uint8Array | null, b: Uint8Array | null): boolean {
  if (a === null || b === null) return a === b;
  return a.length === b.length && equalBytes(a, 0, b, 0, a.length);
}
