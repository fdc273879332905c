import { ReplayWindow } from '../noise/replay.js';
import { TAG_LENGTH, type Crypto, type TransportCipher } from '../noise/crypto.js';
import type { TranscriptSession } from '../noise/transcript.js';
import { wipe } from '../noise/bytes.js';
import { TRANSPORT_HEADER_LENGTH } from '../messages/constants.js';
import { counterHi, counterLo } from '../messages/parse.js';
import type { Slab } from '../slab/slab.js';
import type { Party } from './keyring.js';

/** Counters of messages that cannot be verified are believed no farther ahead than this: they may be damaged. */
const LEAP_MAX = 65_536;
/** Sessions kept at once; the oldest gives way. Each takes about 3 KiB. */
const SESSIONS_MAX = 4096;

/** What one direction of a session carried. */
export class SessionDirection {
  messages = 0;
  keepalives = 0;
  decrypted = 0;
  /** authenticated messages whose counter had been seen, or that came too late for the window */
  replays = 0;
  failed = 0;
  /** the newest counter (authenticated, where there are keys) as a number (exact up to 2^53), -1 before the first */
  newest = -1;
  /** counters below the newest that were never seen: lost on the way, or not captured */
  missing = 0;
  /** bytes of messages, and of the packets in them */
  bytes = 0;
  innerBytes = 0;
  readonly window = new ReplayWindow();

  /** @param index the receiver index that its messages carry */
  constructor(
    readonly session: Session,
    /** 0: from the initiator, 1: from the responder */
    readonly from: 0 | 1,
    readonly index: number,
    readonly cipher: TransportCipher | null,
  ) {}
}

/** A pair of transport keys between two peers. */
export class Session {
  readonly directions: readonly [SessionDirection, SessionDirection];

  /** @param id number of its initiation, counted from 0 (wg.stream) */
  constructor(
    readonly id: number,
    readonly initiator: Party | null,
    readonly responder: Party | null,
    initiatorIndex: number,
    responderIndex: number,
    ciphers: readonly [TransportCipher, TransportCipher] | null,
  ) {
    this.directions = [
      new SessionDirection(this, 0, responderIndex, ciphers?.[0] ?? null),
      new SessionDirection(this, 1, initiatorIndex, ciphers?.[1] ?? null),
    ];
  }

  get hasKeys(): boolean {
    return this.directions[0].cipher !== null;
  }
}

/** What came of a transport message. */
export const Opened = {
  /** no session has this receiver index */
  unknown: 0,
  /** the session is known, but not its keys */
  noKeys: 1,
  /** the tag does not match under any session of this index */
  failed: 2,
  ok: 3,
  /** authenticated, but its counter had been seen or is too old */
  replayed: 4,
} as const;
export type Opened = (typeof Opened)[keyof typeof Opened];

/** Takes a counter into account. @returns false when it was used before, or is too old to say */
function count(direction: SessionDirection, hi: number, lo: number): boolean {
  if (!direction.window.accept(hi, lo)) return false;
  const number = hi * 2 ** 32 + lo;
  if (number > direction.newest) {
    direction.missing += number - direction.newest - 1;
    direction.newest = number;
  } else direction.missing--;
  return true;
}

/** Finds sessions by receiver index, and opens what they carry. */
export class SessionTable {
  /** of the message that `open` was last given: its direction, if the index is known */
  direction: SessionDirection | null = null;
  /** … and whether its counter had been used before; where the keys are missing, as far as that can be told */
  repeated = false;
  readonly all: Session[] = [];
  readonly #byIndex = new Map<number, SessionDirection[]>();

  constructor(private readonly crypto: Crypto) {}

  /** Whether any session has this receiver index. */
  knows(index: number): boolean {
    return this.#byIndex.has(index);
  }

  /** @param keys null when they could not be derived; wiped here */
  add(
    id: number,
    initiator: Party | null,
    responder: Party | null,
    indices: readonly [number, number],
    keys: TranscriptSession | null,
  ): Session {
    const ciphers =
      keys === null
        ? null
        : ([this.crypto.cipher(keys.initiatorToResponder), this.crypto.cipher(keys.responderToInitiator)] as const);
    wipe(keys?.initiatorToResponder, keys?.responderToInitiator);
    const session = new Session(id, initiator, responder, indices[0], indices[1], ciphers);
    this.all.push(session);
    for (const direction of session.directions) {
      const list = this.#byIndex.get(direction.index);
      // The latest session of an index first.
      if (list === undefined) this.#byIndex.set(direction.index, [direction]);
      else list.unshift(direction);
    }
    if (this.all.length > SESSIONS_MAX) this.#forget(this.all.shift()!);
    return session;
  }

  /**
   * Opens the transport message of `length` bytes at src[offset] into dst[0], `length - 32` bytes. Statistics are for the
   * caller to keep: a guess that turns out wrong must not leave traces.
   */
  open(src: Slab, offset: number, length: number, index: number, dst: Slab): Opened {
    const list = this.#byIndex.get(index);
    this.direction = null;
    this.repeated = false;
    if (list === undefined) return Opened.unknown;
    const hi = counterHi(src.bytes, offset);
    const lo = counterLo(src.bytes, offset);
    const sealed = length - TRANSPORT_HEADER_LENGTH;
    let tried = false;
    for (const direction of list) {
      if (direction.cipher === null) continue;
      tried = true;
      this.direction = direction;
      if (
        sealed >= TAG_LENGTH &&
        direction.cipher.open(hi, lo, src, offset + TRANSPORT_HEADER_LENGTH, sealed, dst, 0)
      ) {
        this.repeated = !count(direction, hi, lo);
        return this.repeated ? Opened.replayed : Opened.ok;
      }
    }
    const latest = (this.direction = list[0]!);
    const ahead = hi * 2 ** 32 + lo - latest.newest;
    if (!tried && ahead < LEAP_MAX) this.repeated = !count(latest, hi, lo);
    return tried ? Opened.failed : Opened.noKeys;
  }

  /** The session direction of an index without opening anything. */
  find(index: number): SessionDirection | null {
    return this.#byIndex.get(index)?.[0] ?? null;
  }

  /** Forgets all keys. */
  wipe(): void {
    for (const session of this.all) for (const { cipher } of session.directions) cipher?.wipe();
  }

  #forget(session: Session): void {
    for (const direction of session.directions) {
      direction.cipher?.wipe();
      const list = this.#byIndex.get(direction.index)!;
      list.splice(list.indexOf(direction), 1);
      if (list.length === 0) this.#byIndex.delete(direction.index);
    }
  }
}
