import type { Slab } from '../slab/slab.js';

/** Bytes of a Curve25519 key, a hash, a chaining key or a transport key. */
export const KEY_LENGTH = 32;
/** Bytes of a Poly1305 tag (RFC 8439 §2.5). */
export const TAG_LENGTH = 16;
/** Bytes of a MAC1 or MAC2 (WireGuard paper §5.4.4). */
export const MAC_LENGTH = 16;
/** Bytes of an XChaCha20-Poly1305 nonce (draft-irtf-cfrg-xchacha). */
export const XNONCE_LENGTH = 24;

/**
 * The primitives that WireGuard is made of, behind one small interface, so that the portable provider (noble) and the
 * native ones (OpenSSL) can stand in for each other; tests hold them equal. No provider draws random bytes or reads a clock.
 */
export interface Crypto {
  /** for people: which provider this is */
  readonly name: string;
  /** X25519 public key (RFC 7748 §6.1) of 32 private bytes. */
  publicKey(privateKey: Uint8Array): Uint8Array;
  /** X25519; null when the result is all zero, which only low-order public keys give (RFC 7748 §6.1). */
  sharedSecret(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | null;
  /** BLAKE2s-256 (RFC 7693) over the concatenation of the parts. */
  hash(...parts: Uint8Array[]): Uint8Array;
  /** HMAC-BLAKE2s-256 (RFC 2104, not keyed BLAKE2s) over the concatenation of the parts. */
  hmac(key: Uint8Array, ...parts: Uint8Array[]): Uint8Array;
  /** Keyed BLAKE2s with 16 bytes of output (the paper's Mac). */
  mac(key: Uint8Array, ...parts: Uint8Array[]): Uint8Array;
  /** ChaCha20-Poly1305 with a 64-bit little-endian counter nonce (the paper's Aead); handshake use, small counters only. */
  seal(key: Uint8Array, counter: number, plaintext: Uint8Array, associated: Uint8Array): Uint8Array;
  /** The reverse; null when the tag does not match. */
  open(key: Uint8Array, counter: number, ciphertext: Uint8Array, associated: Uint8Array): Uint8Array | null;
  /** XChaCha20-Poly1305 (the paper's Xaead, cookie replies). */
  xseal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, associated: Uint8Array): Uint8Array;
  /** The reverse; null when the tag does not match. */
  xopen(key: Uint8Array, nonce: Uint8Array, ciphertext: Uint8Array, associated: Uint8Array): Uint8Array | null;
  /** A transport key, set up once for many messages. The key bytes are copied. */
  cipher(key: Uint8Array): TransportCipher;
}

/**
 * One direction's transport key: ChaCha20-Poly1305, nonce = 4 zero bytes and the counter, little-endian, no associated
 * data (WireGuard paper §5.4.6). Works on slabs so that nothing is allocated per message. The counter is given as two
 * unsigned 32-bit halves because it exceeds what a JavaScript number holds exactly.
 */
export interface TransportCipher {
  /**
   * Seals `length` bytes at src[srcOffset] into dst[dstOffset], `length + TAG_LENGTH` bytes. Source and destination may
   * be the same place, or disjoint.
   */
  seal(hi: number, lo: number, src: Slab, srcOffset: number, length: number, dst: Slab, dstOffset: number): void;
  /**
   * Opens `length` bytes (ciphertext and tag) at src[srcOffset] into dst[dstOffset], `length - TAG_LENGTH` bytes.
   * @returns false when the tag does not match; what the destination then holds must not be used
   */
  open(hi: number, lo: number, src: Slab, srcOffset: number, length: number, dst: Slab, dstOffset: number): boolean;
  /** Forgets the key. Neither `seal` nor `open` may be called afterwards. */
  wipe(): void;
}
