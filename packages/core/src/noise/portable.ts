import { chacha20poly1305, xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { x25519 } from '@noble/curves/ed25519.js';
import { blake2s } from '@noble/hashes/blake2.js';
import { hmac } from '@noble/hashes/hmac.js';
import type { Slab } from '../slab/slab.js';
import { TAG_LENGTH, KEY_LENGTH, MAC_LENGTH } from './crypto.js';
import type { Crypto, TransportCipher } from './crypto.js';
import { wipe } from './bytes.js';
import { NONCE_LENGTH, nonceOf, writeNonce } from './nonce.js';

/**
 * The provider that runs everywhere: noble's audited JavaScript. Slow beside OpenSSL (X25519 about 1 ms, 1420 bytes
 * sealed in about 17 µs), and the reference that the other providers are held equal to.
 */
export const portableCrypto: Crypto = {
  name: 'portable (noble)',

  publicKey(privateKey) {
    requireKey(privateKey);
    return x25519.getPublicKey(privateKey);
  },

  sharedSecret(privateKey, publicKey) {
    requireKey(privateKey);
    requireKey(publicKey);
    try {
      return x25519.getSharedSecret(privateKey, publicKey);
    } catch {
      return null; // with both lengths right, noble refuses only low-order points
    }
  },

  hash(...parts) {
    const state = blake2s.create({});
    for (const part of parts) state.update(part);
    return state.digest();
  },

  hmac(key, ...parts) {
    const state = hmac.create(blake2s, key);
    for (const part of parts) state.update(part);
    return state.digest();
  },

  mac(key, ...parts) {
    const state = blake2s.create({ key, dkLen: MAC_LENGTH });
    for (const part of parts) state.update(part);
    return state.digest();
  },

  seal: (key, counter, plaintext, associated) => chacha20poly1305(key, nonceOf(counter), associated).encrypt(plaintext),

  open: (key, counter, ciphertext, associated) =>
    openOrNull(ciphertext, () => chacha20poly1305(key, nonceOf(counter), associated).decrypt(ciphertext)),

  xseal: (key, nonce, plaintext, associated) => xchacha20poly1305(key, nonce, associated).encrypt(plaintext),

  xopen: (key, nonce, ciphertext, associated) =>
    openOrNull(ciphertext, () => xchacha20poly1305(key, nonce, associated).decrypt(ciphertext)),

  cipher: (key) => new PortableCipher(key),
};

/** @throws RangeError on a key of another length, which is a mistake of the caller and not of the other end */
export function requireKey(key: Uint8Array): void {
  if (key.length !== KEY_LENGTH) throw new RangeError(`a key has ${KEY_LENGTH} bytes, not ${key.length}`);
}

/** noble throws on a wrong tag; here that is an expected answer. */
function openOrNull(ciphertext: Uint8Array, decrypt: () => Uint8Array): Uint8Array | null {
  if (ciphertext.length < TAG_LENGTH) return null;
  try {
    return decrypt();
  } catch {
    return null;
  }
}

class PortableCipher implements TransportCipher {
  readonly #key: Uint8Array;
  readonly #nonce = new Uint8Array(NONCE_LENGTH);

  constructor(key: Uint8Array) {
    requireKey(key);
    this.#key = key.slice();
  }

  seal(hi: number, lo: number, src: Slab, srcOffset: number, length: number, dst: Slab, dstOffset: number): void {
    writeNonce(this.#nonce, hi, lo);
    chacha20poly1305(this.#key, this.#nonce).encrypt(
      src.bytes.subarray(srcOffset, srcOffset + length),
      dst.bytes.subarray(dstOffset, dstOffset + length + TAG_LENGTH),
    );
  }

  open(hi: number, lo: number, src: Slab, srcOffset: number, length: number, dst: Slab, dstOffset: number): boolean {
    if (length < TAG_LENGTH) return false;
    writeNonce(this.#nonce, hi, lo);
    try {
      chacha20poly1305(this.#key, this.#nonce).decrypt(
        src.bytes.subarray(srcOffset, srcOffset + length),
        dst.bytes.subarray(dstOffset, dstOffset + length - TAG_LENGTH),
      );
      return true;
    } catch {
      return false;
    }
  }

  wipe(): void {
    wipe(this.#key);
  }
}
