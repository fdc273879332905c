import { classify, counterHi, counterLo, readU32, receiverIndex, senderIndex } from '../messages/parse.js';
import { MessageType, TRANSPORT_HEADER_LENGTH, TRANSPORT_OVERHEAD } from '../messages/constants.js';
import type { Crypto } from '../noise/crypto.js';
import { isOffloadRecord } from '../offload/record.js';
import { VIRTIO_HEADER } from '../offload/virtio.js';
import { RECORD_MAX } from '../stream/header.js';
import type { Slab } from '../slab/slab.js';
import type { TcpConnection } from './connection.js';
import type { DecodeSink, Moment } from './events.js';
import { HandshakeTable } from './handshakes.js';
import { HeldMessages } from './held.js';
import { innerLength } from './inner.js';
import type { KeyRing } from './keyring.js';
import { Message, Status } from './message.js';
import { SCRATCH_SIZE } from './recordstream.js';
import { Opened, SessionTable } from './session.js';

/**
 * From a message's bytes to what it says: sorts messages to handshakes and sessions, opens what the keys can open, and hands
 * them to the sink.
 *
 * Messages lie in `scratch`, where whoever finds them puts them. Finding goes in two steps, because a record that was found by searching is
 * only a guess: `judge` looks and leaves no trace unless the message is genuine; `take` then counts it and hands it on.
 */
export class MessageOpener {
  readonly scratch: Slab;
  readonly #inner: Slab;
  readonly #sessions: SessionTable;
  readonly #handshakes: HandshakeTable;
  readonly #held = new HeldMessages();
  readonly #message = new Message();
  #opened: Opened = Opened.unknown;
  #type: MessageType = MessageType.invalid;
  #ending = false;
  /** where held messages are opened; made when there is one */
  #releasing: Slab | null = null;

  /** @param moment of the packet that is being looked at; its owner changes it */
  constructor(
    crypto: Crypto,
    private readonly ring: KeyRing,
    private readonly sink: DecodeSink,
    private readonly moment: Readonly<Moment>,
    private readonly makeSlab: (size: number) => Slab,
  ) {
    this.scratch = makeSlab(SCRATCH_SIZE);
    this.#inner = makeSlab(RECORD_MAX);
    this.#sessions = new SessionTable(crypto);
    this.#handshakes = new HandshakeTable(crypto, ring, this.#sessions);
  }

  /** Whether messages that were held have waited long enough. */
  isDue(now: number): boolean {
    return this.#held.isDue(now);
  }

  /** Hands on what has been held long enough, opened or not. */
  releaseOld(now: number): void {
    for (const held of this.#held.takeOlder(now)) this.#release(held);
  }

  /** Hands on what is held of a connection that is over. */
  releaseOf(connection: TcpConnection): void {
    for (const held of this.#held.takeOf(connection)) this.#release(held);
  }

  /** No packets will come any more: nothing is held from now on. */
  stopHolding(): void {
    this.#ending = true;
  }

  /** Hands on everything and forgets all keys. */
  end(): void {
    this.releaseOld(Infinity);
    this.#sessions.wipe();
  }

  /** A message to be filled in with what carried it, for the next `take` or `takeCut`. */
  begin(): Message {
    const m = this.#message;
    const at = this.moment;
    m.frame = at.frame;
    m.seconds = at.seconds;
    m.nanoseconds = at.nanoseconds;
    m.connection = null;
    m.flow = null;
    m.recordOffset = m.recordLength = m.recordFlags = 0;
    m.fragmentIdentification = m.fragmentField = -1;
    m.sender = m.receiver = -1;
    m.counterHi = m.counterLo = 0;
    m.handshake = null;
    m.direction = null;
    m.innerLength = m.segmentSize = 0;
    m.raw = this.scratch.bytes;
    m.status = Status.seen;
    m.repeated = false;
    return m;
  }

  /** Looks at the complete message at `offset` of the scratch slab, and opens it if it can. False when it is certainly none. */
  judge(offset: number, length: number): boolean {
    const { bytes } = this.scratch;
    this.#type = classify(bytes, offset, length);
    if (this.#type === MessageType.invalid) return false;
    if (this.#type !== MessageType.transport) return true;
    this.#opened = this.#sessions.open(this.scratch, offset, length, receiverIndex(bytes, offset), this.#inner);
    return this.#opened !== Opened.failed;
  }

  /** Fills in what `judge` found out about the message and hands it on. */
  take(offset: number): void {
    const m = this.#message;
    const { bytes } = this.scratch;
    m.type = this.#type;
    switch (m.type) {
      case MessageType.invalid:
        m.status = Status.invalid;
        break;
      case MessageType.transport:
        m.receiver = receiverIndex(bytes, offset);
        m.counterHi = counterHi(bytes, offset);
        m.counterLo = counterLo(bytes, offset);
        if (this.#opened === Opened.unknown && !this.ring.isEmpty && !this.#ending) {
          const dropped = this.#held.add(m, bytes, offset);
          if (dropped !== null) this.#release(dropped);
          return;
        }
        this.#setOpened(m);
        break;
      default:
        this.#handshakeMessage(m, offset);
    }
    this.sink.message(m);
    const session = m.handshake?.session;
    if (session !== null && session !== undefined && !this.#held.isEmpty) {
      for (const { index } of session.directions) for (const held of this.#held.take(index)) this.#release(held);
    }
  }

  #handshakeMessage(m: Message, offset: number): void {
    const { bytes } = this.scratch;
    if (m.type === MessageType.initiation) {
      m.sender = senderIndex(bytes, offset);
      m.handshake = this.#handshakes.initiation(bytes, offset, m);
    } else if (m.type === MessageType.response) {
      m.sender = senderIndex(bytes, offset);
      m.receiver = receiverIndex(bytes, offset);
      m.handshake = this.#handshakes.response(bytes, offset, m);
    } else {
      m.receiver = receiverIndex(bytes, offset);
      m.handshake = this.#handshakes.cookie(bytes, offset, m);
    }
    if (m.handshake.verdict === 'failed') m.status = Status.failed;
  }

  #setOpened(m: Message): void {
    const opened = this.#opened;
    m.status = STATUS_OF[opened];
    m.repeated = this.#sessions.repeated;
    const direction = opened === Opened.unknown ? null : this.#sessions.direction;
    m.direction = direction;
    if (direction === null) return;
    direction.messages++;
    direction.bytes += m.length;
    if (m.isKeepalive) direction.keepalives++;
    if (opened === Opened.failed) direction.failed++;
    if (opened < Opened.ok) return;
    direction.decrypted++;
    if (opened === Opened.replayed) direction.replays++;
    m.inner = this.#inner.bytes;
    m.innerLength = m.length - TRANSPORT_OVERHEAD;
    this.#unwrap(m);
    direction.innerBytes += m.innerLength;
  }

  /** Of an offload record the packet is shown. */
  #unwrap(m: Message): void {
    const most = m.innerLength - VIRTIO_HEADER;
    if (most <= 0 || !isOffloadRecord(m.inner, 0) || innerLength(m.inner, VIRTIO_HEADER, most) === 0) return;
    m.segmentSize = m.inner[4]! | (m.inner[5]! << 8);
    m.inner = m.inner.subarray(VIRTIO_HEADER);
    m.innerLength = most;
  }

  /** A message of which the end is missing: only what its first bytes say is known. */
  takeCut(offset: number): void {
    const m = this.#message;
    const { bytes } = this.scratch;
    m.status = Status.cut;
    m.type = m.present >= 4 && isMessageStart(bytes, offset, m.length) ? bytes[offset]! : MessageType.invalid;
    if (m.type === MessageType.transport && m.present >= TRANSPORT_HEADER_LENGTH) {
      m.receiver = receiverIndex(bytes, offset);
      m.counterHi = counterHi(bytes, offset);
      m.counterLo = counterLo(bytes, offset);
      m.direction = this.#sessions.find(m.receiver);
    } else if ((m.type === MessageType.initiation || m.type === MessageType.response) && m.present >= 8) {
      m.sender = senderIndex(bytes, offset);
    }
    this.sink.message(m);
  }

  /** Opens a message that was held, or gives it up, and hands it on. */
  #release(held: Message): void {
    // Not into `scratch`, which may hold the rest of a stream that is being walked.
    const slab = (this.#releasing ??= this.makeSlab(RECORD_MAX));
    slab.bytes.set(held.raw, 0);
    this.#opened = this.#sessions.open(slab, 0, held.length, held.receiver, this.#inner);
    this.#setOpened(held);
    this.sink.message(held);
  }
}

const STATUS_OF: Record<Opened, Status> = {
  [Opened.unknown]: Status.unknownSession,
  [Opened.noKeys]: Status.noKeys,
  [Opened.failed]: Status.failed,
  [Opened.ok]: Status.decrypted,
  [Opened.replayed]: Status.replayed,
};

/** Whether a datagram's first four bytes and its length could be those of a message. */
export function isMessageStart(bytes: Uint8Array, offset: number, length: number): boolean {
  switch (readU32(bytes, offset)) {
    case MessageType.initiation:
      return length === 148;
    case MessageType.response:
      return length === 92;
    case MessageType.cookieReply:
      return length === 64;
    case MessageType.transport:
      return length >= 32;
    default:
      return false;
  }
}
