import { COOKIE_REPLY_COOKIE, COOKIE_REPLY_NONCE, SEALED_COOKIE_LENGTH } from '../messages/constants.js';
import { mac1Offset, mac2Offset } from '../messages/parse.js';
import { wipe } from '../noise/bytes.js';
import { XNONCE_LENGTH } from '../noise/crypto.js';
import type { Crypto } from '../noise/crypto.js';
import { COOKIE_SECRET_LATENCY, COOKIE_SECRET_MAX_AGE } from './constants.js';
import { computeMac1, computeMac2, cookieKey, mac1Key } from './mac.js';

/**
 * The sending side of the denial-of-service protection, one for each peer: completes our initiations and responses with
 * MAC1 and, as long as we have a fresh cookie of that peer's, MAC2 (WireGuard paper §5.4.4 and §5.4.7, kernel cookie.c).
 */
export class CookieJar {
  readonly #crypto: Crypto;
  readonly #remoteStatic: Uint8Array;
  #mac1Key: Uint8Array | null = null;
  #cookie: Uint8Array | null = null;
  #cookieBirth = -Infinity;
  /** MAC1 of the last message sent; null once a cookie has come in answer to it, so that each is answered once */
  #lastMac1: Uint8Array | null = null;

  /** @param remoteStatic the peer's public key, kept as it is */
  constructor(crypto: Crypto, remoteStatic: Uint8Array) {
    this.#crypto = crypto;
    this.#remoteStatic = remoteStatic;
  }

  /** Whether the next message will carry a MAC2. @param now monotonic ms */
  hasCookie(now: number): boolean {
    return this.#cookie !== null && now - this.#cookieBirth < COOKIE_SECRET_MAX_AGE - COOKIE_SECRET_LATENCY;
  }

  /** Fills in the last 32 bytes of a whole initiation or response, which is to be sent as it then is. */
  addMacs(message: Uint8Array, now: number): void {
    const { length } = message;
    this.#mac1Key ??= mac1Key(this.#crypto, this.#remoteStatic);
    this.#lastMac1 = computeMac1(this.#crypto, this.#mac1Key, message, 0, length);
    message.set(this.#lastMac1, mac1Offset(length));
    if (this.hasCookie(now)) {
      message.set(computeMac2(this.#crypto, this.#cookie!, message, 0, length), mac2Offset(length));
    } else {
      message.fill(0, mac2Offset(length));
    }
  }

  /**
   * Takes the cookie out of the 64-byte cookie reply at `offset`.
   * @returns false, with nothing changed, when it does not answer the last message sent
   */
  consumeReply(bytes: Uint8Array, offset: number, now: number): boolean {
    if (this.#lastMac1 === null) return false;
    const nonce = bytes.subarray(offset + COOKIE_REPLY_NONCE, offset + COOKIE_REPLY_NONCE + XNONCE_LENGTH);
    const sealed = bytes.subarray(offset + COOKIE_REPLY_COOKIE, offset + COOKIE_REPLY_COOKIE + SEALED_COOKIE_LENGTH);
    const cookie = this.#crypto.xopen(cookieKey(this.#crypto, this.#remoteStatic), nonce, sealed, this.#lastMac1);
    if (cookie === null) return false;
    wipe(this.#cookie);
    this.#cookie = cookie;
    this.#cookieBirth = now;
    this.#lastMac1 = null;
    return true;
  }

  /** Forgets the cookie and the last message. */
  clear(): void {
    wipe(this.#cookie);
    this.#cookie = null;
    this.#lastMac1 = null;
  }
}
