import { sourceKey } from '../address/endpoint.js';
import type { Endpoint } from '../address/endpoint.js';
import { parseIp } from '../address/ip.js';
import {
  COOKIE_REPLY_COOKIE,
  COOKIE_REPLY_LENGTH,
  COOKIE_REPLY_NONCE,
  COOKIE_REPLY_RECEIVER,
  MessageType,
} from '../messages/constants.js';
import { mac1Offset, senderIndex } from '../messages/parse.js';
import { writeType, writeU32 } from '../messages/write.js';
import { wipe } from '../noise/bytes.js';
import { KEY_LENGTH, MAC_LENGTH } from '../noise/crypto.js';
import type { Crypto } from '../noise/crypto.js';
import { COOKIE_SECRET_MAX_AGE } from './constants.js';
import { cookieKey, mac1Key, verifyMac1, verifyMac2 } from './mac.js';
import type { RateLimiter } from './ratelimiter.js';

/**
 * The receiving side of the denial-of-service protection (WireGuard paper §5.3, kernel cookie.c).
 *
 * Theory of operation. Whoever does not know our public key cannot make a MAC1 and gets no answer at all. Under load, a
 * sender must also show that it can receive at its address: it gets a cookie, a keyed hash of that address under a
 * secret of ours that changes every two minutes, sealed so that only someone who saw its message can read it, and has to
 * come back with a MAC2 made with it. Even then it is rationed. Nothing is kept per sender until it has done all that.
 */

/** What the MACs of an initiation or response show, from bad to good. */
export type MacState =
  /** MAC1 is wrong: drop in silence */
  | 'invalid'
  /** MAC1 is right; MAC2 was not asked for or is wrong */
  | 'validMac1'
  /** both are right, but this source has had its share: drop in silence */
  | 'rateLimited'
  /** both are right */
  | 'validCookie';

export class CookieChecker {
  readonly #crypto: Crypto;
  readonly #limiter: RateLimiter;
  readonly #random: (out: Uint8Array) => void;
  readonly #secret = new Uint8Array(KEY_LENGTH);
  #secretBirth = -Infinity;
  #mac1Key: Uint8Array | null = null;
  #cookieKey: Uint8Array | null = null;

  /** @param random fills with secure random bytes; drawn from for the secret only */
  constructor(crypto: Crypto, limiter: RateLimiter, random: (out: Uint8Array) => void) {
    this.#crypto = crypto;
    this.#limiter = limiter;
    this.#random = random;
  }

  /** Our own public key; null when there is none, and then no message is valid. */
  setPublicKey(publicKey: Uint8Array | null): void {
    this.#mac1Key = publicKey === null ? null : mac1Key(this.#crypto, publicKey);
    this.#cookieKey = publicKey === null ? null : cookieKey(this.#crypto, publicKey);
  }

  /**
   * Judges the MACs of an initiation or response of `length` bytes at `offset`.
   * @param checkCookie whether MAC2 counts: true under load, and only over UDP
   * @param now monotonic ms
   */
  validate(
    bytes: Uint8Array,
    offset: number,
    length: number,
    source: Endpoint,
    checkCookie: boolean,
    now: number,
  ): MacState {
    if (this.#mac1Key === null || !verifyMac1(this.#crypto, this.#mac1Key, bytes, offset, length)) return 'invalid';
    if (!checkCookie) return 'validMac1';
    const cookie = this.#cookieFor(source, now);
    if (!verifyMac2(this.#crypto, cookie, bytes, offset, length)) return 'validMac1';
    return this.#limiter.allow(sourceKey(source), now) ? 'validCookie' : 'rateLimited';
  }

  /**
   * The cookie reply to an initiation or response with a valid MAC1.
   * @param nonce 24 fresh random bytes
   * @returns 64 bytes; null when we have no key
   */
  makeReply(
    bytes: Uint8Array,
    offset: number,
    length: number,
    source: Endpoint,
    nonce: Uint8Array,
    now: number,
  ): Uint8Array | null {
    if (this.#cookieKey === null) return null;
    const mac1 = bytes.subarray(offset + mac1Offset(length), offset + mac1Offset(length) + MAC_LENGTH);
    const reply = new Uint8Array(COOKIE_REPLY_LENGTH);
    writeType(reply, 0, MessageType.cookieReply);
    writeU32(reply, COOKIE_REPLY_RECEIVER, senderIndex(bytes, offset));
    reply.set(nonce, COOKIE_REPLY_NONCE);
    const sealed = this.#crypto.xseal(this.#cookieKey, nonce, this.#cookieFor(source, now), mac1);
    reply.set(sealed, COOKIE_REPLY_COOKIE);
    return reply;
  }

  /** Forgets all secrets. */
  wipe(): void {
    wipe(this.#secret, this.#mac1Key, this.#cookieKey);
    this.#secretBirth = -Infinity;
    this.setPublicKey(null);
  }

  /** Mac(secret, address bytes and port as they stand in the packet), as the kernel has it. */
  #cookieFor(source: Endpoint, now: number): Uint8Array {
    if (now - this.#secretBirth >= COOKIE_SECRET_MAX_AGE) {
      this.#random(this.#secret);
      this.#secretBirth = now;
    }
    const port = Uint8Array.of(source.port >> 8, source.port & 0xff);
    return this.#crypto.mac(this.#secret, parseIp(source.address)!, port);
  }
}
