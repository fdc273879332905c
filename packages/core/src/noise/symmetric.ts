import type { Crypto } from './crypto.js';
import { wipe } from './bytes.js';
import { CONSTRUCTION, IDENTIFIER } from './constants.js';

/**
 * The symmetric half of a Noise handshake (Noise specification §5.2; WireGuard paper §5.4): a hash of everything that
 * both sides have seen, and a chaining key that every shared secret is mixed into. `Kdf1`–`Kdf3` are HKDF (RFC 5869)
 * with HMAC-BLAKE2s, the chaining key as the salt and no info.
 */

const ONE = Uint8Array.of(1);
const TWO = Uint8Array.of(2);
const THREE = Uint8Array.of(3);

export function kdf1(crypto: Crypto, key: Uint8Array, input: Uint8Array): Uint8Array {
  const secret = crypto.hmac(key, input);
  const first = crypto.hmac(secret, ONE);
  wipe(secret);
  return first;
}

export function kdf2(crypto: Crypto, key: Uint8Array, input: Uint8Array): [Uint8Array, Uint8Array] {
  const secret = crypto.hmac(key, input);
  const first = crypto.hmac(secret, ONE);
  const second = crypto.hmac(secret, first, TWO);
  wipe(secret);
  return [first, second];
}

export function kdf3(crypto: Crypto, key: Uint8Array, input: Uint8Array): [Uint8Array, Uint8Array, Uint8Array] {
  const secret = crypto.hmac(key, input);
  const first = crypto.hmac(secret, ONE);
  const second = crypto.hmac(secret, first, TWO);
  const third = crypto.hmac(secret, second, THREE);
  wipe(secret);
  return [first, second, third];
}

const text = (s: string) => Uint8Array.from(s, (c) => c.charCodeAt(0));

export class SymmetricState {
  readonly #crypto: Crypto;
  #hash: Uint8Array;
  #chainingKey: Uint8Array;

  private constructor(crypto: Crypto, hash: Uint8Array, chainingKey: Uint8Array) {
    this.#crypto = crypto;
    this.#hash = hash;
    this.#chainingKey = chainingKey;
  }

  /** The state before the first message, to or from the holder of `responderStatic`. */
  static begin(crypto: Crypto, responderStatic: Uint8Array): SymmetricState {
    const chainingKey = crypto.hash(text(CONSTRUCTION));
    const hash = crypto.hash(crypto.hash(chainingKey, text(IDENTIFIER)), responderStatic);
    return new SymmetricState(crypto, hash, chainingKey);
  }

  mixHash(data: Uint8Array): void {
    this.#hash = this.#crypto.hash(this.#hash, data);
  }

  /** A public ephemeral: hashed, and mixed into the chaining key because a pre-shared key is in use (Noise §9.2). */
  mixEphemeral(ephemeral: Uint8Array): void {
    this.mixHash(ephemeral);
    this.#chain(kdf1(this.#crypto, this.#chainingKey, ephemeral));
  }

  /** @returns the key for the next sealed field; the caller wipes it */
  mixKey(input: Uint8Array): Uint8Array {
    const [chainingKey, key] = kdf2(this.#crypto, this.#chainingKey, input);
    this.#chain(chainingKey);
    return key;
  }

  /** Mixes in the pre-shared key. @returns the key for the next sealed field; the caller wipes it */
  mixKeyAndHash(input: Uint8Array): Uint8Array {
    const [chainingKey, hash, key] = kdf3(this.#crypto, this.#chainingKey, input);
    this.#chain(chainingKey);
    this.mixHash(hash);
    wipe(hash);
    return key;
  }

  /** Seals under the hash so far, and hashes what came of it. Wipes the key, which is good for one field only. */
  encryptAndHash(key: Uint8Array, plaintext: Uint8Array): Uint8Array {
    const ciphertext = this.#crypto.seal(key, 0, plaintext, this.#hash);
    wipe(key);
    this.mixHash(ciphertext);
    return ciphertext;
  }

  /** The reverse; null when the tag does not match, and then the state must be dropped. Wipes the key. */
  decryptAndHash(key: Uint8Array, ciphertext: Uint8Array): Uint8Array | null {
    const plaintext = this.#crypto.open(key, 0, ciphertext, this.#hash);
    wipe(key);
    if (plaintext !== null) this.mixHash(ciphertext);
    return plaintext;
  }

  /** The transport keys: first the initiator's sending key, then the responder's (paper §5.4.5). */
  split(): [Uint8Array, Uint8Array] {
    return kdf2(this.#crypto, this.#chainingKey, new Uint8Array(0));
  }

  clone(): SymmetricState {
    return new SymmetricState(this.#crypto, this.#hash.slice(), this.#chainingKey.slice());
  }

  wipe(): void {
    wipe(this.#hash, this.#chainingKey);
  }

  #chain(next: Uint8Array): void {
    wipe(this.#chainingKey);
    this.#chainingKey = next;
  }
}
