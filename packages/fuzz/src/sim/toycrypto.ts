import type { Crypto, TransportCipher } from '@wirestream/core/noise/crypto';
import type { Slab } from '@wirestream/core/slab/slab';

/**
 * Not cryptography: a stand-in with the same shapes and the same algebra (both ends agree on shared secrets, what is sealed under one key
 * opens under it and under no other, any flipped bit is noticed), thirty times as fast as the real thing. For long simulations of
 * everything around the primitives, which tests elsewhere hold to their vectors. It lives outside the core so that no
 * device can ever be made with it by mistake.
 */

// A global looked up in a hot loop is slow in the contexts that tests run in.
const { imul } = Math;

const KEY = 32;
const TAG = 16;

/** Eight words of state that take in bytes and give out bytes. */
class Mixer {
  readonly #s = new Int32Array(8);

  constructor(domain: number) {
    for (let i = 0; i < 8; i++) this.#s[i] = imul(domain + i + 1, 0x9e3779b1);
  }

  word(value: number): this {
    const s = this.#s;
    let carry = imul(value ^ (value >>> 15), 0x2c1b3c6d);
    for (let i = 0; i < 8; i++) {
      carry = imul(carry ^ s[i]! ^ (carry >>> 13), 0x297a2d39);
      s[i] = ((carry << 7) | (carry >>> 25)) + i;
    }
    return this;
  }

  bytes(bytes: Uint8Array, from = 0, to = bytes.length): this {
    this.word(to - from);
    let at = from;
    for (; at + 4 <= to; at += 4) {
      this.word(bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
    }
    for (; at < to; at++) this.word(bytes[at]!);
    return this;
  }

  out(length: number, into = new Uint8Array(length), offset = 0): Uint8Array {
    this.word(0x5eed).word(length);
    for (let i = 0; i < length; i++) into[offset + i] = this.#s[(i >> 2) & 7]! >>> (8 * (i & 3));
    return into;
  }
}

/** One word of authentication state per message is enough to notice accidents, and fast enough for bulk. */
function tagOf(seed: number, bytes: Uint8Array, from: number, to: number): number {
  let h = seed;
  for (let i = from; i < to; i++) h = imul(h ^ bytes[i]!, 0x01000193) + (h >>> 15);
  return h | 0;
}

function streamXor(seed: number, src: Uint8Array, from: number, to: number, dst: Uint8Array, at: number): void {
  let x = seed | 1;
  for (let i = from; i < to; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    dst[at + i - from] = src[i]! ^ x;
  }
}

function writeTag(tag: number, dst: Uint8Array, at: number): void {
  for (let i = 0; i < 4; i++) {
    tag = imul(tag ^ (tag >>> 16), 0x45d9f3b) + i;
    for (let j = 0; j < 4; j++) dst[at + 4 * i + j] = tag >>> (8 * j);
  }
}

const tagRoom = new Uint8Array(TAG);

function tagMatches(tag: number, src: Uint8Array, at: number): boolean {
  writeTag(tag, tagRoom, 0);
  for (let i = 0; i < TAG; i++) if (tagRoom[i] !== src[at + i]) return false;
  return true;
}

class ToyCipher implements TransportCipher {
  readonly #seed: number;

  constructor(key: Uint8Array) {
    const [a, b, c, d] = new Mixer(1).bytes(key).out(4);
    this.#seed = a! | (b! << 8) | (c! << 16) | (d! << 24);
  }

  #at(hi: number, lo: number): number {
    const x = imul(this.#seed ^ lo, 0x85ebca6b) ^ hi;
    return imul(x ^ (x >>> 13), 0xc2b2ae35);
  }

  seal(hi: number, lo: number, src: Slab, srcOffset: number, length: number, dst: Slab, dstOffset: number): void {
    const seed = this.#at(hi, lo);
    streamXor(seed, src.bytes, srcOffset, srcOffset + length, dst.bytes, dstOffset);
    writeTag(tagOf(seed, dst.bytes, dstOffset, dstOffset + length), dst.bytes, dstOffset + length);
  }

  open(hi: number, lo: number, src: Slab, srcOffset: number, length: number, dst: Slab, dstOffset: number): boolean {
    const plain = length - TAG;
    const seed = this.#at(hi, lo);
    if (plain < 0 || !tagMatches(tagOf(seed, src.bytes, srcOffset, srcOffset + plain), src.bytes, srcOffset + plain)) {
      return false;
    }
    streamXor(seed, src.bytes, srcOffset, srcOffset + plain, dst.bytes, dstOffset);
    return true;
  }

  wipe(): void {}
}

function seal(domain: Mixer, plaintext: Uint8Array): Uint8Array {
  const seed = seedOf(domain);
  const out = new Uint8Array(plaintext.length + TAG);
  streamXor(seed, plaintext, 0, plaintext.length, out, 0);
  writeTag(tagOf(seed, out, 0, plaintext.length), out, plaintext.length);
  return out;
}

function open(domain: Mixer, ciphertext: Uint8Array): Uint8Array | null {
  const length = ciphertext.length - TAG;
  const seed = seedOf(domain);
  if (length < 0 || !tagMatches(tagOf(seed, ciphertext, 0, length), ciphertext, length)) return null;
  const out = new Uint8Array(length);
  streamXor(seed, ciphertext, 0, length, out, 0);
  return out;
}

function seedOf(mixer: Mixer): number {
  const [a, b, c, d] = mixer.out(4);
  return a! | (b! << 8) | (c! << 16) | (d! << 24);
}

function mixed(domain: number, key: Uint8Array, parts: readonly Uint8Array[], length: number): Uint8Array {
  const mixer = new Mixer(domain).bytes(key);
  // Over the concatenation: how it is cut must not matter.
  const total = parts.reduce((sum, part) => sum + part.length, 0);
  const all = new Uint8Array(total);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return mixer.bytes(all).out(length);
}

const NO_KEY = new Uint8Array(0);

export const toyCrypto: Crypto = {
  name: 'toy (simulation only)',
  publicKey(privateKey) {
    // Clamped, as X25519 does it (RFC 7748 §5), since callers may hold either form.
    const clamped = privateKey.slice();
    clamped[0]! &= 248;
    clamped[31] = (clamped[31]! & 127) | 64;
    return new Mixer(2).bytes(clamped).out(KEY);
  },
  sharedSecret(privateKey, publicKey) {
    const ours = toyCrypto.publicKey(privateKey);
    const first = ours.every((byte, i) => byte === publicKey[i]) || lower(ours, publicKey) ? ours : publicKey;
    const second = first === ours ? publicKey : ours;
    return new Mixer(3).bytes(first).bytes(second).out(KEY);
  },
  hash: (...parts) => mixed(4, NO_KEY, parts, 32),
  hmac: (key, ...parts) => mixed(5, key, parts, 32),
  mac: (key, ...parts) => mixed(6, key, parts, 16),
  seal: (key, counter, plaintext, ad) => seal(new Mixer(7).bytes(key).word(counter).bytes(ad), plaintext),
  open: (key, counter, ciphertext, ad) => open(new Mixer(7).bytes(key).word(counter).bytes(ad), ciphertext),
  xseal: (key, nonce, plaintext, ad) => seal(new Mixer(8).bytes(key).bytes(nonce).bytes(ad), plaintext),
  xopen: (key, nonce, ciphertext, ad) => open(new Mixer(8).bytes(key).bytes(nonce).bytes(ad), ciphertext),
  cipher: (key) => new ToyCipher(key),
};

function lower(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! < b[i]!;
  return false;
}
