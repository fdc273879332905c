import {
  INITIATION_EPHEMERAL,
  INITIATION_LENGTH,
  INITIATION_SENDER,
  INITIATION_STATIC,
  INITIATION_TIMESTAMP,
  MessageType,
  RESPONSE_EPHEMERAL,
  RESPONSE_LENGTH,
  RESPONSE_NOTHING,
  RESPONSE_RECEIVER,
  RESPONSE_SENDER,
  TIMESTAMP_LENGTH,
} from '../messages/constants.js';
import { receiverIndex, senderIndex } from '../messages/parse.js';
import { writeType, writeU32 } from '../messages/write.js';
import { compareBytes, equalBytes, wipe } from './bytes.js';
import { INITIATION_INTERVAL } from './constants.js';
import { KEY_LENGTH, TAG_LENGTH } from './crypto.js';
import type { Crypto } from './crypto.js';
import type { LocalIdentity } from './identity.js';
import type { OpenedInitiation } from './initiation.js';
import { SymmetricState } from './symmetric.js';

/**
 * One peer's handshake: Noise_IKpsk2, both roles (WireGuard paper §5.4, kernel noise.c).
 *
 *     <- s
 *     ...
 *     -> e, es, s, ss, {timestamp}      initiation
 *     <- e, ee, se, psk, {}             response
 *
 * Theory of operation. A peer has at most one handshake under way:
 *
 *     none ── createInitiation ──▶ initiationCreated ── consumeResponse ──▶ responseConsumed ─┐
 *     any ─── consumeInitiation ─▶ initiationConsumed ── createResponse ──▶ responseCreated ──┤
 *     none ◀──────────────────────────── deriveKeys ──────────────────────────────────────────┘
 *
 * Both `create…Initiation` and `consumeInitiation` replace whatever was under way; the other end decides which of two
 * crossing handshakes completes by what it answers. A message that does not verify changes nothing at all, so nobody
 * without the keys can disturb a handshake. Entropy comes in as arguments: each ephemeral private key must be 32 fresh
 * random bytes and is used once. It is copied and wiped here when the handshake is done, replaced or cleared; the
 * caller wipes its own copy.
 *
 * Whoever hands out indices must forget `localIndex` before it calls `createInitiation`, `createResponse` or `clear`;
 * after `deriveKeys` the index belongs to the keypair.
 */

export type HandshakeState =
  'none' | 'initiationCreated' | 'initiationConsumed' | 'responseCreated' | 'responseConsumed';

/** What became of an initiation; everything but 'accepted' has left the handshake as it was. */
export type InitiationVerdict =
  | 'accepted'
  /** the timestamp did not decrypt: not sent by the holder of that static key */
  | 'unauthenticated'
  /** no newer than the newest timestamp seen: a replay */
  | 'replayed'
  /** less than 20 ms after the last accepted initiation */
  | 'flooding';

/** Transport keys of a completed handshake. The receiver wipes them once ciphers are set up. */
export interface SessionKeys {
  readonly send: Uint8Array;
  readonly receive: Uint8Array;
  readonly isInitiator: boolean;
  readonly localIndex: number;
  readonly remoteIndex: number;
}

const EMPTY = new Uint8Array(0);

export class Handshake {
  readonly #crypto: Crypto;
  readonly remoteStatic: Uint8Array;
  #local: LocalIdentity | null;
  #presharedKey: Uint8Array;
  /** undefined until it is wanted: a device may have thousands of peers, most of them silent */
  #shared: Uint8Array | null | undefined;

  #state: HandshakeState = 'none';
  #localIndex: number | null = null;
  #remoteIndex = 0;
  #symmetric: SymmetricState | null = null;
  #ephemeralPrivate: Uint8Array | null = null;
  #remoteEphemeral: Uint8Array | null = null;

  #latestTimestamp = new Uint8Array(TIMESTAMP_LENGTH);
  #lastInitiationAt = -Infinity;

  /**
   * @param local our own key pair; null as long as there is none
   * @param presharedKey 32 bytes; all zero, or absent, when there is none
   */
  constructor(crypto: Crypto, local: LocalIdentity | null, remoteStatic: Uint8Array, presharedKey?: Uint8Array) {
    this.#crypto = crypto;
    this.remoteStatic = remoteStatic.slice();
    this.#presharedKey = presharedKey?.slice() ?? new Uint8Array(KEY_LENGTH);
    this.#local = local;
  }

  /** What the two static keys share; null when we have no key, or the peer's is a low-order point: then nothing is said and nothing believed. */
  get #staticStatic(): Uint8Array | null {
    if (this.#shared === undefined) {
      this.#shared = this.#local && this.#crypto.sharedSecret(this.#local.privateKey, this.remoteStatic);
    }
    return this.#shared;
  }

  get state(): HandshakeState {
    return this.#state;
  }

  /** The index that this handshake goes by at our end; null when it has none. */
  get localIndex(): number | null {
    return this.#localIndex;
  }

  /** The index that it goes by at the other end, once an initiation or a response has been consumed. */
  get remoteIndex(): number {
    return this.#remoteIndex;
  }

  /** The newest TAI64N timestamp that an accepted initiation carried, 12 bytes; all zero before the first. */
  get latestTimestamp(): Uint8Array {
    return this.#latestTimestamp;
  }

  /** False without a key of ours, and when the peer's is a low-order point: every message is refused and none is made. */
  get isPossible(): boolean {
    return this.#staticStatic !== null;
  }

  /** Changes our own key, or takes it away, and forgets what is under way because it was made with the old one. */
  setLocalIdentity(local: LocalIdentity | null): void {
    this.clear();
    wipe(this.#shared);
    this.#local = local;
    this.#shared = undefined;
  }

  /** Changes the pre-shared key; null for none. It counts from the next response on. */
  setPresharedKey(presharedKey: Uint8Array | null): void {
    wipe(this.#presharedKey);
    this.#presharedKey = presharedKey?.slice() ?? new Uint8Array(KEY_LENGTH);
  }

  /**
   * @param ephemeralPrivate 32 fresh random bytes
   * @param localIndex the sender index that the response will be addressed to
   * @param timestamp 12 bytes of TAI64N, newer than in any earlier initiation to this peer
   * @returns 148 bytes with MAC1 and MAC2 zero; null, with nothing changed, when the handshake is not possible
   */
  createInitiation(ephemeralPrivate: Uint8Array, localIndex: number, timestamp: Uint8Array): Uint8Array | null {
    if (this.#local === null || this.#staticStatic === null) return null;
    const secret = this.#crypto.sharedSecret(ephemeralPrivate, this.remoteStatic);
    if (secret === null) return null;
    const ephemeral = this.#crypto.publicKey(ephemeralPrivate);
    const symmetric = SymmetricState.begin(this.#crypto, this.remoteStatic);
    symmetric.mixEphemeral(ephemeral);
    const sealedStatic = symmetric.encryptAndHash(symmetric.mixKey(secret), this.#local.publicKey);
    wipe(secret);
    const sealedTimestamp = symmetric.encryptAndHash(symmetric.mixKey(this.#staticStatic), timestamp);

    this.clear();
    this.#symmetric = symmetric;
    this.#ephemeralPrivate = ephemeralPrivate.slice();
    this.#localIndex = localIndex;
    this.#state = 'initiationCreated';

    const message = new Uint8Array(INITIATION_LENGTH);
    writeType(message, 0, MessageType.initiation);
    writeU32(message, INITIATION_SENDER, localIndex);
    message.set(ephemeral, INITIATION_EPHEMERAL);
    message.set(sealedStatic, INITIATION_STATIC);
    message.set(sealedTimestamp, INITIATION_TIMESTAMP);
    return message;
  }

  /**
   * The peer's half of taking an initiation, after `openInitiation` has shown whose it is. Changes nothing unless the
   * verdict is 'accepted'. The opened initiation is used up and wiped in either case.
   * @param opened whose `remoteStatic` is this peer's
   * @param now monotonic ms
   */
  consumeInitiation(opened: OpenedInitiation, now: number): InitiationVerdict {
    const verdict = this.#judge(opened, now);
    if (verdict === 'accepted') {
      this.#forget();
      this.#remoteIndex = opened.senderIndex;
      this.#symmetric = opened.symmetric.clone();
      this.#remoteEphemeral = opened.remoteEphemeral.slice();
      this.#lastInitiationAt = now;
      this.#state = 'initiationConsumed';
    }
    opened.wipe();
    return verdict;
  }

  /**
   * As `consumeInitiation`, but our own handshake under way stands: the two crossed, and ours is the one to complete. That the
   * initiation was seen counts, so that it cannot be replayed.
   */
  acknowledgeInitiation(opened: OpenedInitiation, now: number): InitiationVerdict {
    const verdict = this.#judge(opened, now);
    if (verdict === 'accepted') this.#lastInitiationAt = now;
    opened.wipe();
    return verdict;
  }

  #judge(opened: OpenedInitiation, now: number): InitiationVerdict {
    if (this.#staticStatic === null || !equalBytes(opened.remoteStatic, 0, this.remoteStatic, 0, KEY_LENGTH)) {
      return 'unauthenticated';
    }
    const { symmetric } = opened;
    const timestamp = symmetric.decryptAndHash(symmetric.mixKey(this.#staticStatic), opened.sealedTimestamp);
    if (timestamp === null) return 'unauthenticated';
    if (compareBytes(timestamp, this.#latestTimestamp) <= 0) return 'replayed';
    if (now < this.#lastInitiationAt + INITIATION_INTERVAL) return 'flooding';
    this.#latestTimestamp.set(timestamp);
    return 'accepted';
  }

  /**
   * Answers the initiation consumed last.
   * @param ephemeralPrivate 32 fresh random bytes
   * @param localIndex the sender index that transport messages will be addressed to
   * @returns 92 bytes with MAC1 and MAC2 zero; null when there is nothing to answer, or when the initiator's ephemeral
   * key is a low-order point, and then the handshake is cleared
   */
  createResponse(ephemeralPrivate: Uint8Array, localIndex: number): Uint8Array | null {
    if (this.#state !== 'initiationConsumed') return null;
    const symmetric = this.#symmetric!;
    const ephemeral = this.#crypto.publicKey(ephemeralPrivate);
    symmetric.mixEphemeral(ephemeral);
    if (!this.#mixShared(symmetric, ephemeralPrivate, this.#remoteEphemeral!, ephemeralPrivate, this.remoteStatic)) {
      this.clear();
      return null;
    }
    const nothing = symmetric.encryptAndHash(symmetric.mixKeyAndHash(this.#presharedKey), EMPTY);

    this.#localIndex = localIndex;
    this.#state = 'responseCreated';

    const message = new Uint8Array(RESPONSE_LENGTH);
    writeType(message, 0, MessageType.response);
    writeU32(message, RESPONSE_SENDER, localIndex);
    writeU32(message, RESPONSE_RECEIVER, this.#remoteIndex);
    message.set(ephemeral, RESPONSE_EPHEMERAL);
    message.set(nothing, RESPONSE_NOTHING);
    return message;
  }

  /**
   * Takes the response to the initiation created last: 92 bytes at `offset`.
   * @returns false, with nothing changed, when it is not one
   */
  consumeResponse(bytes: Uint8Array, offset: number): boolean {
    if (this.#state !== 'initiationCreated' || receiverIndex(bytes, offset) !== this.#localIndex) return false;
    const ephemeral = bytes.slice(offset + RESPONSE_EPHEMERAL, offset + RESPONSE_EPHEMERAL + KEY_LENGTH);
    const symmetric = this.#symmetric!.clone();
    symmetric.mixEphemeral(ephemeral);
    const ours = this.#ephemeralPrivate!;
    if (
      !this.#mixShared(symmetric, ours, ephemeral, this.#local!.privateKey, ephemeral) ||
      symmetric.decryptAndHash(
        symmetric.mixKeyAndHash(this.#presharedKey),
        bytes.slice(offset + RESPONSE_NOTHING, offset + RESPONSE_NOTHING + TAG_LENGTH),
      ) === null
    ) {
      symmetric.wipe();
      return false;
    }
    this.#forget();
    this.#symmetric = symmetric;
    this.#remoteIndex = senderIndex(bytes, offset);
    this.#state = 'responseConsumed';
    return true;
  }

  /**
   * Ends a completed handshake: returns its transport keys and forgets everything else about it.
   * @returns null when no handshake is complete
   */
  deriveKeys(): SessionKeys | null {
    if (this.#state !== 'responseCreated' && this.#state !== 'responseConsumed') return null;
    const isInitiator = this.#state === 'responseConsumed';
    const [first, second] = this.#symmetric!.split();
    const keys = {
      send: isInitiator ? first : second,
      receive: isInitiator ? second : first,
      isInitiator,
      localIndex: this.#localIndex!,
      remoteIndex: this.#remoteIndex,
    };
    this.clear();
    return keys;
  }

  /** Forgets a handshake under way. What protects against replays, the newest timestamp, stays. */
  clear(): void {
    this.#forget();
    this.#localIndex = null;
    this.#remoteIndex = 0;
  }

  /** The peer is being removed: wipes everything that is secret. */
  destroy(): void {
    this.clear();
    wipe(this.#shared, this.#presharedKey);
    this.#shared = null;
  }

  /** ee and se, each from whichever halves this side holds. */
  #mixShared(
    symmetric: SymmetricState,
    eePrivate: Uint8Array,
    eePublic: Uint8Array,
    sePrivate: Uint8Array,
    sePublic: Uint8Array,
  ): boolean {
    const ee = this.#crypto.sharedSecret(eePrivate, eePublic);
    const se = this.#crypto.sharedSecret(sePrivate, sePublic);
    if (ee !== null && se !== null) {
      wipe(symmetric.mixKey(ee));
      wipe(symmetric.mixKey(se));
    }
    wipe(ee, se);
    return ee !== null && se !== null;
  }

  #forget(): void {
    this.#symmetric?.wipe();
    wipe(this.#ephemeralPrivate, this.#remoteEphemeral);
    this.#symmetric = null;
    this.#ephemeralPrivate = null;
    this.#remoteEphemeral = null;
    this.#state = 'none';
  }
}
