import { MAC_LENGTH, type Crypto } from '../noise/crypto.js';
import { equalBytes, isZero } from '../noise/bytes.js';
import { readInitiation, readResponse, type InitiationTranscript, type TranscriptKeys } from '../noise/transcript.js';
import {
  COOKIE_REPLY_COOKIE,
  COOKIE_REPLY_NONCE,
  INITIATION_EPHEMERAL,
  INITIATION_MAC1,
  INITIATION_MAC2,
  RESPONSE_EPHEMERAL,
  RESPONSE_MAC1,
  RESPONSE_MAC2,
  SEALED_COOKIE_LENGTH,
} from '../messages/constants.js';
import { receiverIndex, senderIndex } from '../messages/parse.js';
import type { Moment } from './events.js';
import type { KeyRing, Party } from './keyring.js';
import { secondsBetween } from './packet.js';
import type { Session, SessionTable } from './session.js';

/** Initiations that may still be answered, and messages that may still get a cookie; the oldest give way. */
const PENDING_MAX = 4096;

/** Different answers to one initiation that are believed: without keys, anyone's answer looks good. */
const RESPONSES_MAX = 16;

/** 'unknown' also when a key to check it with is missing. */
export type Verdict = 'verified' | 'failed' | 'unknown';

/** What an initiation, response or cookie reply turned out to be. */
export interface HandshakeInfo {
  /** the message's own MAC1 */
  readonly mac1: Verdict;
  /** not all zero */
  readonly mac2Set: boolean;
  /** whether the sealed parts opened: of an initiation static key and timestamp, of a response the empty part, of a cookie reply the cookie */
  readonly verdict: Verdict;
  readonly ephemeral: Uint8Array | null;
  readonly sender: Party | null;
  readonly receiver: Party | null;
  /** TAI64N of an initiation that opened */
  readonly tai64n: Uint8Array | null;
  /** the same message was seen before */
  readonly repeated: boolean;
  /** of a response or cookie reply: the message that it answers */
  readonly answers: Answered | null;
  /** of an initiation and what answers it: how many initiations came before, which is what Wireshark numbers sessions by (wg.stream); else -1 */
  readonly stream: number;
  /** of a response that completes a handshake */
  readonly session: Session | null;
  /** the two had a session before */
  readonly rekey: boolean;
}

/** The message that another one answers: its frame number, and how long the answer took, s. */
export interface Answered {
  readonly frame: number;
  readonly roundTrip: number;
}

interface Initiation {
  readonly at: Moment;
  readonly ephemeral: Uint8Array;
  readonly read: InitiationTranscript;
  readonly info: HandshakeInfo;
  readonly responses: Uint8Array[];
}

/** A message with a MAC1 under which a cookie may be sealed. */
interface Cookieable {
  readonly at: Moment;
  readonly mac1: Uint8Array;
  readonly receiver: Party | null;
  readonly stream: number;
}

/**
 * Pairs the messages of handshakes by their indices and verifies them step by step with the keys that are known. Without
 * keys a response still completes the handshake whose index it names, unverified.
 */
export class HandshakeTable {
  readonly #initiations = new Map<number, Initiation[]>();
  readonly #cookieable = new Map<number, Cookieable>();
  readonly #order: number[] = [];
  #count = 0;
  readonly #pairs = new Set<string>();

  constructor(
    private readonly crypto: Crypto,
    private readonly ring: KeyRing,
    private readonly sessions: SessionTable,
  ) {}

  initiation(bytes: Uint8Array, offset: number, at: Moment): HandshakeInfo {
    const stream = this.#count++;
    const index = senderIndex(bytes, offset);
    const ephemeral = bytes.slice(offset + INITIATION_EPHEMERAL, offset + INITIATION_EPHEMERAL + 32);
    const list = this.#initiations.get(index) ?? [];
    const before = list.find((entry) => equalBytes(entry.ephemeral, 0, ephemeral, 0, 32));
    if (before !== undefined) return { ...before.info, stream, repeated: true };

    const receiver = this.ring.addressee(bytes, offset, offset + INITIATION_MAC1);
    const keys: TranscriptKeys = {
      ...optional('responderStaticPrivate', receiver?.privateKey),
      ...optional('responderStaticPublic', receiver?.publicKey),
      ...optional('initiatorEphemeralPrivate', this.ring.ephemeral(ephemeral)),
    };
    let read = readInitiation(this.crypto, bytes, offset, keys);
    const sender = read.initiatorStatic === null ? null : this.ring.discovered(read.initiatorStatic);
    if (read.timestamp === 'keysMissing' && read.static === 'verified' && sender?.privateKey !== undefined) {
      read = readInitiation(this.crypto, bytes, offset, { ...keys, initiatorStaticPrivate: sender.privateKey });
    }
    const info: HandshakeInfo = {
      mac1: receiver === null ? 'unknown' : 'verified',
      mac2Set: isSet(bytes, offset + INITIATION_MAC2),
      verdict: initiationVerdict(read),
      ephemeral,
      sender,
      receiver,
      tai64n: read.tai64n,
      repeated: false,
      answers: null,
      stream,
      session: null,
      rekey: false,
    };
    list.unshift({ at: { ...at }, ephemeral, read, info, responses: [] });
    this.#initiations.set(index, list);
    this.#remember(index, bytes, offset + INITIATION_MAC1, at, receiver, stream);
    return info;
  }

  response(bytes: Uint8Array, offset: number, at: Moment): HandshakeInfo {
    const ephemeral = bytes.slice(offset + RESPONSE_EPHEMERAL, offset + RESPONSE_EPHEMERAL + 32);
    const sender = senderIndex(bytes, offset);
    const candidates = this.#initiations.get(receiverIndex(bytes, offset)) ?? [];
    const base = {
      mac1: 'unknown' as Verdict,
      mac2Set: isSet(bytes, offset + RESPONSE_MAC2),
      ephemeral,
      sender: null,
      receiver: null,
      tai64n: null,
      repeated: false,
      stream: -1,
      session: null,
      rekey: false,
    };
    let failed: HandshakeInfo | null = null;
    const likely = candidates[0]?.info;
    this.#remember(sender, bytes, offset + RESPONSE_MAC1, at, likely?.sender ?? null, likely?.stream ?? -1);
    for (const initiation of candidates) {
      const { info } = initiation;
      const answer = {
        ...base,
        mac1: this.#mac1(bytes, offset, offset + RESPONSE_MAC1, info.sender),
        sender: info.receiver,
        receiver: info.sender,
        answers: answered(initiation.at, at),
        stream: info.stream,
      };
      if (initiation.responses.some((seen) => equalBytes(seen, 0, ephemeral, 0, 32))) {
        return { ...answer, verdict: 'unknown', repeated: true };
      }
      const [verdict, keys] = this.#read(initiation, bytes, offset, ephemeral);
      if (verdict === 'failed' || answer.mac1 === 'failed' || initiation.responses.length >= RESPONSES_MAX) {
        failed ??= { ...answer, verdict: 'failed' };
        continue;
      }
      initiation.responses.push(ephemeral);
      const session = this.sessions.add(
        info.stream,
        info.sender,
        info.receiver,
        [initiation.read.senderIndex, sender],
        keys,
      );
      return { ...answer, verdict, session, rekey: this.#isRekey(info.sender, info.receiver) };
    }
    if (failed !== null) return failed;
    const receiver = this.ring.addressee(bytes, offset, offset + RESPONSE_MAC1);
    return { ...base, mac1: receiver === null ? 'unknown' : 'verified', receiver, verdict: 'unknown', answers: null };
  }

  cookie(bytes: Uint8Array, offset: number, at: Moment): HandshakeInfo {
    const before = this.#cookieable.get(receiverIndex(bytes, offset)) ?? null;
    const sender = before?.receiver ?? null;
    let verdict: Verdict = 'unknown';
    if (sender !== null) {
      const sealed = bytes.slice(offset + COOKIE_REPLY_COOKIE, offset + COOKIE_REPLY_COOKIE + SEALED_COOKIE_LENGTH);
      const nonce = bytes.slice(offset + COOKIE_REPLY_NONCE, offset + COOKIE_REPLY_COOKIE);
      const cookie = this.crypto.xopen(sender.cookieKey, nonce, sealed, before!.mac1);
      verdict = cookie === null ? 'failed' : 'verified';
    }
    return {
      mac1: 'unknown',
      mac2Set: false,
      verdict,
      ephemeral: null,
      sender,
      receiver: null,
      tai64n: null,
      repeated: false,
      answers: before === null ? null : answered(before.at, at),
      stream: before?.stream ?? -1,
      session: null,
      rekey: false,
    };
  }

  #read(initiation: Initiation, bytes: Uint8Array, offset: number, ephemeral: Uint8Array) {
    const { sender, receiver, verdict } = initiation.info;
    if (verdict === 'failed') return ['failed' as Verdict, null] as const;
    const keys: TranscriptKeys = {
      ...optional('initiatorStaticPrivate', sender?.privateKey),
      ...optional('responderStaticPrivate', receiver?.privateKey),
      ...optional('responderStaticPublic', receiver?.publicKey),
      ...optional('initiatorEphemeralPrivate', this.ring.ephemeral(initiation.ephemeral)),
      ...optional('responderEphemeralPrivate', this.ring.ephemeral(ephemeral)),
    };
    for (const presharedKey of this.ring.preshared(sender, receiver, [initiation.ephemeral, ephemeral])) {
      const read = readResponse(this.crypto, initiation.read, bytes, offset, { ...keys, presharedKey });
      if (read.nothing === 'keysMissing') return ['unknown' as Verdict, null] as const;
      if (read.nothing === 'verified') return ['verified' as Verdict, read.keys] as const;
    }
    return ['failed' as Verdict, null] as const;
  }

  #mac1(bytes: Uint8Array, offset: number, macOffset: number, receiver: Party | null): Verdict {
    if (receiver === null) return 'unknown';
    const mac = this.crypto.mac(receiver.mac1Key, bytes.subarray(offset, macOffset));
    return equalBytes(mac, 0, bytes, macOffset, MAC_LENGTH) ? 'verified' : 'failed';
  }

  /** Whether these two have completed a handshake before; notes that they have now. */
  #isRekey(initiator: Party | null, responder: Party | null): boolean {
    if (initiator === null || responder === null) return false;
    const pair = [initiator.id, responder.id].sort().join(' ');
    if (this.#pairs.has(pair)) return true;
    if (this.#pairs.size < PENDING_MAX) this.#pairs.add(pair);
    return false;
  }

  #remember(index: number, bytes: Uint8Array, mac1: number, at: Moment, receiver: Party | null, stream: number): void {
    this.#cookieable.set(index, { at: { ...at }, mac1: bytes.slice(mac1, mac1 + MAC_LENGTH), receiver, stream });
    this.#order.push(index);
    if (this.#order.length <= PENDING_MAX) return;
    const oldest = this.#order.shift()!;
    this.#cookieable.delete(oldest);
    const list = this.#initiations.get(oldest);
    list?.pop()?.read.symmetric?.wipe();
    if (list?.length === 0) this.#initiations.delete(oldest);
  }
}

function answered(before: Moment, at: Moment): Answered {
  const roundTrip = secondsBetween(before.seconds, before.nanoseconds, at.seconds, at.nanoseconds);
  return { frame: before.frame, roundTrip };
}

function initiationVerdict(read: InitiationTranscript): Verdict {
  if (read.static === 'failed' || read.timestamp === 'failed') return 'failed';
  return read.timestamp === 'verified' ? 'verified' : 'unknown';
}

function isSet(bytes: Uint8Array, offset: number): boolean {
  return !isZero(bytes.subarray(offset, offset + MAC_LENGTH));
}

/** A member with that name, or none: exactOptionalPropertyTypes knows no undefined members. */
function optional<K extends keyof TranscriptKeys>(name: K, value: Uint8Array | undefined): TranscriptKeys {
  return value === undefined ? {} : { [name]: value };
}
