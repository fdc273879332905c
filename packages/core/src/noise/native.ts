import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
} from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { Slab } from '../slab/slab.js';
import { TAG_LENGTH } from './crypto.js';
import type { Crypto, TransportCipher } from './crypto.js';
import { wipe } from './bytes.js';
import { NONCE_LENGTH, nonceOf, writeNonce } from './nonce.js';
import { portableCrypto, requireKey } from './portable.js';

/**
 * The provider on Node's OpenSSL. Keyed BLAKE2s and XChaCha20-Poly1305 are not offered there and come from noble.
 *
 * X25519 keys go in as JWK because that reaches OpenSSL's raw-key call: 40 µs, where the DER decoder takes 500 µs, time
 * that a flood of initiations would make us spend. The price is that the text of the private key is a JavaScript string,
 * which stays on the heap until it is collected (noble's big integers do the same).
 */
export const nativeCrypto: Crypto = {
  name: 'native (OpenSSL through node:crypto)',

  publicKey(privateKey) {
    const { x } = createPublicKey(privateKeyObject(privateKey)).export({ format: 'jwk' });
    return new Uint8Array(Buffer.from(x!, 'base64url')); // a copy: small Buffers share a pool
  },

  sharedSecret(privateKey, publicKey) {
    requireKey(publicKey);
    const ours = privateKeyObject(privateKey);
    const theirs = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x: base64url(publicKey) }, format: 'jwk' });
    try {
      return plain(diffieHellman({ privateKey: ours, publicKey: theirs }));
    } catch {
      return null; // OpenSSL fails the derivation when the result is all zero
    }
  },

  hash(...parts) {
    const state = createHash('blake2s256');
    for (const part of parts) state.update(part);
    return plain(state.digest());
  },

  hmac(key, ...parts) {
    const state = createHmac('blake2s256', key);
    for (const part of parts) state.update(part);
    return plain(state.digest());
  },

  mac: portableCrypto.mac,

  seal(key, counter, plaintext, associated) {
    const cipher = createCipheriv('chacha20-poly1305', key, nonceOf(counter), { authTagLength: TAG_LENGTH });
    cipher.setAAD(associated, { plaintextLength: plaintext.length });
    const out = new Uint8Array(plaintext.length + TAG_LENGTH);
    out.set(cipher.update(plaintext));
    cipher.final();
    out.set(cipher.getAuthTag(), plaintext.length);
    return out;
  },

  open(key, counter, ciphertext, associated) {
    const length = ciphertext.length - TAG_LENGTH;
    if (length < 0) return null;
    const decipher = createDecipheriv('chacha20-poly1305', key, nonceOf(counter), { authTagLength: TAG_LENGTH });
    decipher.setAAD(associated, { plaintextLength: length });
    decipher.setAuthTag(ciphertext.subarray(length));
    const out = plain(decipher.update(ciphertext.subarray(0, length)));
    try {
      decipher.final();
      return out;
    } catch {
      wipe(out);
      return null;
    }
  },

  xseal: portableCrypto.xseal,
  xopen: portableCrypto.xopen,

  cipher: (key) => new NativeCipher(key),
};

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url');
}

function privateKeyObject(privateKey: Uint8Array): KeyObject {
  requireKey(privateKey);
  // `x` must be there but is not used: OpenSSL computes the public half itself.
  return createPrivateKey({ key: { kty: 'OKP', crv: 'X25519', x: '', d: base64url(privateKey) }, format: 'jwk' });
}

/** The same bytes as a plain array, so that providers differ in nothing; the buffer, which may hold a secret, is wiped. */
function plain(buffer: Buffer): Uint8Array {
  const out = new Uint8Array(buffer);
  buffer.fill(0);
  return out;
}

class NativeCipher implements TransportCipher {
  readonly #key: Uint8Array;
  readonly #nonce = new Uint8Array(NONCE_LENGTH);
  readonly #options = { authTagLength: TAG_LENGTH };

  constructor(key: Uint8Array) {
    requireKey(key);
    this.#key = key.slice();
  }

  seal(hi: number, lo: number, src: Slab, srcOffset: number, length: number, dst: Slab, dstOffset: number): void {
    writeNonce(this.#nonce, hi, lo);
    const cipher = createCipheriv('chacha20-poly1305', this.#key, this.#nonce, this.#options);
    dst.bytes.set(cipher.update(src.bytes.subarray(srcOffset, srcOffset + length)), dstOffset);
    cipher.final();
    dst.bytes.set(cipher.getAuthTag(), dstOffset + length);
  }

  open(hi: number, lo: number, src: Slab, srcOffset: number, length: number, dst: Slab, dstOffset: number): boolean {
    const plainLength = length - TAG_LENGTH;
    if (plainLength < 0) return false;
    writeNonce(this.#nonce, hi, lo);
    const decipher = createDecipheriv('chacha20-poly1305', this.#key, this.#nonce, this.#options);
    const tagOffset = srcOffset + plainLength;
    decipher.setAuthTag(src.bytes.subarray(tagOffset, tagOffset + TAG_LENGTH));
    const plaintext = decipher.update(src.bytes.subarray(srcOffset, tagOffset));
    try {
      decipher.final();
    } catch {
      return false;
    }
    dst.bytes.set(plaintext, dstOffset);
    return true;
  }

  wipe(): void {
    wipe(this.#key);
  }
}
