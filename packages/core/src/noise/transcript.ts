import {
  INITIATION_EPHEMERAL,
  INITIATION_STATIC,
  INITIATION_TIMESTAMP,
  RESPONSE_EPHEMERAL,
  RESPONSE_NOTHING,
  SEALED_STATIC_LENGTH,
  SEALED_TIMESTAMP_LENGTH,
} from '../messages/constants.js';
import { receiverIndex, senderIndex } from '../messages/parse.js';
import { equalBytes, wipe } from './bytes.js';
import { KEY_LENGTH, TAG_LENGTH } from './crypto.js';
import type { Crypto } from './crypto.js';
import { SymmetricState } from './symmetric.js';

/**
 * Recomputing a recorded handshake from whichever keys are known, for decoding captures.
 *
 * Theory of operation. A handshake mixes four Diffie-Hellman secrets, and each of them can be computed from either of
 * two private keys: es from the initiator's ephemeral or the responder's static, ss from either static, ee from either
 * ephemeral, se from the initiator's static or the responder's ephemeral. So one side's static and ephemeral private
 * keys are always enough, and so are some mixtures of both sides'. Reading goes on for as long as the secrets last and
 * says at each step whether the message verified, was refuted, or could not be judged for want of a key.
 *
 * A private ephemeral key counts only for the message that carries its public half, so a whole key log may be tried
 * one key after the other.
 */

/** What is known. Public keys of known private keys need not be given. */
export interface TranscriptKeys {
  readonly initiatorStaticPrivate?: Uint8Array;
  readonly initiatorStaticPublic?: Uint8Array;
  readonly responderStaticPrivate?: Uint8Array;
  readonly responderStaticPublic?: Uint8Array;
  readonly initiatorEphemeralPrivate?: Uint8Array;
  readonly responderEphemeralPrivate?: Uint8Array;
  /** absent: all zero */
  readonly presharedKey?: Uint8Array;
}

/** 'keysMissing' also stands for "an earlier step did not verify, so this one cannot be judged". */
export type TranscriptStep = 'verified' | 'failed' | 'keysMissing';

/** An initiation as far as it could be read. */
export interface InitiationTranscript {
  /** the sealed static public key */
  readonly static: TranscriptStep;
  /** the sealed timestamp, which proves the initiator's static key */
  readonly timestamp: TranscriptStep;
  readonly senderIndex: number;
  /** the public ephemeral key, as sent */
  readonly ephemeral: Uint8Array;
  /** the initiator's static public key: decrypted, else as given, else null */
  readonly initiatorStatic: Uint8Array | null;
  readonly responderStatic: Uint8Array | null;
  /** 12 bytes of TAI64N when the timestamp verified */
  readonly tai64n: Uint8Array | null;
  /** where the response goes on; null unless the static key verified and ss could be mixed in */
  readonly symmetric: SymmetricState | null;
}

/** A response as far as it could be read. */
export interface ResponseTranscript {
  readonly nothing: TranscriptStep;
  readonly senderIndex: number;
  readonly receiverIndex: number;
  readonly ephemeral: Uint8Array;
  /** transport keys when the response verified */
  readonly keys: TranscriptSession | null;
}

/** The transport keys of a recorded session, 32 bytes each. */
export interface TranscriptSession {
  readonly initiatorToResponder: Uint8Array;
  readonly responderToInitiator: Uint8Array;
  readonly initiatorIndex: number;
  readonly responderIndex: number;
}

/** Reads the 148 bytes of an initiation at `offset`. Never throws on what the bytes are. */
export function readInitiation(
  crypto: Crypto,
  bytes: Uint8Array,
  offset: number,
  keys: TranscriptKeys,
): InitiationTranscript {
  const ephemeral = field(bytes, offset + INITIATION_EPHEMERAL, KEY_LENGTH);
  const ephemeralPrivate = matching(crypto, keys.initiatorEphemeralPrivate, ephemeral);
  const responderStatic = publicOf(crypto, keys.responderStaticPrivate, keys.responderStaticPublic);
  const given = publicOf(crypto, keys.initiatorStaticPrivate, keys.initiatorStaticPublic);
  const base = { senderIndex: senderIndex(bytes, offset), ephemeral, responderStatic, tai64n: null, symmetric: null };
  const unread = { ...base, timestamp: 'keysMissing' as const, initiatorStatic: given };

  const es = eitherSecret(crypto, ephemeralPrivate, responderStatic, keys.responderStaticPrivate, ephemeral);
  if (es === null || responderStatic === null) return { ...unread, static: 'keysMissing' };
  const symmetric = SymmetricState.begin(crypto, responderStatic);
  symmetric.mixEphemeral(ephemeral);
  const sealedStatic = field(bytes, offset + INITIATION_STATIC, SEALED_STATIC_LENGTH);
  const initiatorStatic = symmetric.decryptAndHash(symmetric.mixKey(es), sealedStatic);
  wipe(es);
  if (initiatorStatic === null) return { ...unread, static: 'failed' };

  const initiatorPrivate = matching(crypto, keys.initiatorStaticPrivate, initiatorStatic);
  const ss = eitherSecret(crypto, initiatorPrivate, responderStatic, keys.responderStaticPrivate, initiatorStatic);
  const known = { ...base, static: 'verified' as const, initiatorStatic };
  if (ss === null) return { ...known, timestamp: 'keysMissing' };
  const sealedTimestamp = field(bytes, offset + INITIATION_TIMESTAMP, SEALED_TIMESTAMP_LENGTH);
  const tai64n = symmetric.decryptAndHash(symmetric.mixKey(ss), sealedTimestamp);
  wipe(ss);
  if (tai64n === null) return { ...known, timestamp: 'failed' };
  return { ...known, timestamp: 'verified', tai64n, symmetric };
}

/**
 * Reads the 92 bytes of a response at `offset` as the answer to an initiation that was read before, which stays usable
 * for other responses and other keys.
 */
export function readResponse(
  crypto: Crypto,
  initiation: InitiationTranscript,
  bytes: Uint8Array,
  offset: number,
  keys: TranscriptKeys,
): ResponseTranscript {
  const ephemeral = field(bytes, offset + RESPONSE_EPHEMERAL, KEY_LENGTH);
  const base = { senderIndex: senderIndex(bytes, offset), receiverIndex: receiverIndex(bytes, offset), ephemeral };
  const unread = { ...base, nothing: 'keysMissing' as const, keys: null };
  if (initiation.symmetric === null || initiation.initiatorStatic === null) return unread;
  if (base.receiverIndex !== initiation.senderIndex) return { ...unread, nothing: 'failed' };

  const theirs = matching(crypto, keys.responderEphemeralPrivate, ephemeral);
  const ours = matching(crypto, keys.initiatorEphemeralPrivate, initiation.ephemeral);
  const initiatorPrivate = matching(crypto, keys.initiatorStaticPrivate, initiation.initiatorStatic);
  const ee = eitherSecret(crypto, ours, ephemeral, theirs, initiation.ephemeral);
  const se = eitherSecret(crypto, initiatorPrivate, ephemeral, theirs, initiation.initiatorStatic);
  if (ee === null || se === null) {
    wipe(ee, se);
    return unread;
  }
  const symmetric = initiation.symmetric.clone();
  symmetric.mixEphemeral(ephemeral);
  wipe(symmetric.mixKey(ee), symmetric.mixKey(se), ee, se);
  const key = symmetric.mixKeyAndHash(keys.presharedKey ?? new Uint8Array(KEY_LENGTH));
  const nothing = symmetric.decryptAndHash(key, field(bytes, offset + RESPONSE_NOTHING, TAG_LENGTH));
  if (nothing === null) {
    symmetric.wipe();
    return { ...unread, nothing: 'failed' };
  }
  const [initiatorToResponder, responderToInitiator] = symmetric.split();
  symmetric.wipe();
  return {
    ...base,
    nothing: 'verified',
    keys: {
      initiatorToResponder,
      responderToInitiator,
      initiatorIndex: initiation.senderIndex,
      responderIndex: base.senderIndex,
    },
  };
}

function field(bytes: Uint8Array, offset: number, length: number): Uint8Array {
  return bytes.slice(offset, offset + length);
}

function publicOf(crypto: Crypto, privateKey: Uint8Array | undefined, given: Uint8Array | undefined) {
  return privateKey === undefined ? (given ?? null) : crypto.publicKey(privateKey);
}

/** The private key if it is the one that belongs to `publicKey`. */
function matching(crypto: Crypto, privateKey: Uint8Array | undefined, publicKey: Uint8Array): Uint8Array | undefined {
  if (privateKey === undefined || !equalBytes(crypto.publicKey(privateKey), 0, publicKey, 0, KEY_LENGTH)) {
    return undefined;
  }
  return privateKey;
}

/** A Diffie-Hellman secret from whichever private half is there. */
function eitherSecret(
  crypto: Crypto,
  privateA: Uint8Array | undefined,
  publicB: Uint8Array | null,
  privateB: Uint8Array | undefined,
  publicA: Uint8Array | null,
): Uint8Array | null {
  if (privateA !== undefined && publicB !== null) return crypto.sharedSecret(privateA, publicB);
  if (privateB !== undefined && publicA !== null) return crypto.sharedSecret(privateB, publicA);
  return null;
}
