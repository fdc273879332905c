import type { Closing, Side, TcpConnection } from './connection.js';
import type { DecodeSink, Moment, Notice } from './events.js';
import { innerLength } from './inner.js';
import { Origins } from './origins.js';
import type { Party } from './keyring.js';
import { Status, type Message } from './message.js';
import type { CaptureInterface } from './packet.js';
import type { GapReason } from './reassembly.js';
import type { SkipReason } from './recordstream.js';
import type { SessionDirection } from './session.js';
import { Throughput } from './throughput.js';

/** Connections whose details are kept for the summary; the totals count all. */
const DETAILED_MAX = 1000;
/** Resyncs of one direction whose places are kept. */
const PLACES_MAX = 32;
/** Handshakes of one pair of peers whose times are kept, and pairs of peers. */
const HANDSHAKES_MAX = 1000;
const PAIRS_MAX = 1024;

/** What one direction of a connection carried. */
export class DirectionTally {
  records = 0;
  /** by message type; 0 counts what is no message */
  readonly types = [0, 0, 0, 0, 0];
  keepalives = 0;
  /** bytes of messages, record headers not counted */
  messageBytes = 0;
  resyncs = 0;
  skippedBytes = 0;
  /** where in the stream the first of them begin */
  readonly resyncAt: number[] = [];
  gaps = 0;
  missingBytes = 0;
  /** records of which bytes are missing */
  cut = 0;
}

export class ConnectionTally {
  readonly directions: readonly [DirectionTally, DirectionTally] = [new DirectionTally(), new DirectionTally()];

  constructor(readonly connection: TcpConnection) {}

  get records(): number {
    return this.directions[0].records + this.directions[1].records;
  }
}

export interface HandshakeTally {
  readonly frame: number;
  /** s since the Unix epoch */
  readonly time: number;
  /** s from initiation to response, as seen at the place of the capture */
  readonly roundTrip: number;
  readonly rekey: boolean;
  readonly verified: boolean;
  /** which of the two peers began it */
  readonly initiator: 0 | 1;
}

/** What one peer sent to another, over whatever carried it. */
export class PeerDirectionTally {
  data = 0;
  keepalives = 0;
  decrypted = 0;
  undecrypted = 0;
  messageBytes = 0;
  innerBytes = 0;
  replays = 0;
  failed = 0;
  /** counters that were used and never seen */
  missingCounters = 0;
  readonly throughput = new Throughput();
}

/** Two peers and all that passed between them. */
export class PairTally {
  readonly directions: readonly [PeerDirectionTally, PeerDirectionTally] = [
    new PeerDirectionTally(),
    new PeerDirectionTally(),
  ];
  readonly handshakes: HandshakeTally[] = [];
  handshakeCount = 0;

  /** `peers`: null where the keys do not say who it is */
  constructor(readonly peers: readonly [Party | null, Party | null]) {}
}

/** Counts everything, for the summary. */
export class Tally implements DecodeSink {
  packets = 0;
  /** of the first packet, s since the Unix epoch; and how long the capture is, s */
  firstTime = 0;
  seconds = 0;
  records = 0;
  readonly types = [0, 0, 0, 0, 0];
  keepalives = 0;
  resyncs = 0;
  skippedBytes = 0;
  handshakesCompleted = 0;
  decrypted = 0;
  undecrypted = 0;
  /** IP packets: neither keepalives, nor what two wirestreams tell each other */
  innerPackets = 0;
  innerBytes = 0;
  replays = 0;
  /** messages that were seen before: the same handshake message, or a counter that was used, whether or not that can be verified */
  duplicates = 0;
  failed = 0;
  cut = 0;
  gaps = 0;
  missingBytes = 0;
  /** of type 4, by why they were not decrypted */
  readonly undecryptedBy = new Map<Status, number>();
  /** they are numbered from 0 in order of appearance */
  udpFlows = 0;
  readonly connections: ConnectionTally[] = [];
  readonly pairs = new Map<string, PairTally>();
  readonly notices: Notice[] = [];
  /** notices that say that the capture itself is at fault */
  errors = 0;
  readonly #open = new Map<TcpConnection, ConnectionTally>();
  /** how much of each session's missing counters has been taken into account */
  readonly #missing = new WeakMap<SessionDirection, number>();
  #lastFrom: SessionDirection | null = null;
  #lastSender: PeerDirectionTally | null = null;
  readonly #origins: Origins;

  /** @param addresses that belong to the tunnel for certain @param listenPorts likewise */
  constructor(addresses: Iterable<string> = [], listenPorts: Iterable<number> = []) {
    this.#origins = new Origins(addresses, listenPorts);
  }

  /** TCP connections of the tunnel: those that carried a record, and attempts between the same ends. */
  get connectionCount(): number {
    return this.#origins.count().tunnel;
  }

  /** All other TCP connections. */
  get otherConnections(): number {
    return this.#origins.count().other;
  }

  began(at: Moment): void {
    this.firstTime = at.seconds + at.nanoseconds / 1e9;
  }

  ended(at: Moment, packets: number): void {
    this.packets = packets;
    if (packets > 0) this.seconds = Math.max(0, at.seconds + at.nanoseconds / 1e9 - this.firstTime);
  }

  /** What a connection that is not finished has carried so far. */
  of(connection: TcpConnection): ConnectionTally {
    let tally = this.#open.get(connection);
    // Made when there is something to count: most connections of a hostile capture carry nothing.
    if (tally === undefined) this.#open.set(connection, (tally = new ConnectionTally(connection)));
    return tally;
  }

  interface(_description: CaptureInterface): void {}

  message(m: Message): void {
    this.types[m.type]!++;
    if (m.isKeepalive) this.keepalives++;
    if (m.status === Status.cut) this.cut++;
    if (m.status === Status.failed) this.failed++;
    if (m.repeated || m.handshake?.repeated === true) this.duplicates++;
    if (m.connection !== null) this.#record(m);
    else {
      this.udpFlows = Math.max(this.udpFlows, m.flow!.id + 1);
      this.#origins.sawUdp = true;
    }
    if (m.type === 4) this.#data(m);
    else if (m.handshake !== null && m.handshake.session !== null) this.#handshake(m);
  }

  connectionOpened(): void {}

  connectionEstablished(): void {}

  connectionClosing(_connection: TcpConnection, _closing: Closing): void {}

  connectionFinished(connection: TcpConnection): void {
    const tally = this.#open.get(connection);
    this.#open.delete(connection);
    this.#origins.add(connection, tally !== undefined && tally.records > 0);
    if (tally !== undefined && tally.records > 0 && this.connections.length < DETAILED_MAX)
      this.connections.push(tally);
  }

  skipped(connection: TcpConnection, side: Side, position: number, length: number, why: SkipReason): void {
    if (why !== 'garbage') return;
    this.resyncs++;
    this.skippedBytes += length;
    const direction = this.of(connection).directions[side];
    direction.resyncs++;
    direction.skippedBytes += length;
    if (direction.resyncAt.length < PLACES_MAX) direction.resyncAt.push(position);
  }

  gap(connection: TcpConnection, side: Side, _position: number, length: number, _why: GapReason): void {
    const direction = this.of(connection).directions[side];
    direction.gaps++;
    direction.missingBytes += length;
    this.gaps++;
    this.missingBytes += length;
  }

  notice(notice: Notice, _at: Moment): void {
    if (notice.isError) this.errors++;
    if (this.notices.length < PLACES_MAX) this.notices.push(notice);
  }

  #record(m: Message): void {
    this.records++;
    const direction = this.of(m.connection!).directions[m.side];
    direction.records++;
    direction.types[m.type]!++;
    direction.messageBytes += m.length;
    if (m.isKeepalive) direction.keepalives++;
    if (m.status === Status.cut) direction.cut++;
  }

  #data(m: Message): void {
    const opened = m.status === Status.decrypted || m.status === Status.replayed;
    if (opened) {
      this.decrypted++;
      if (innerLength(m.inner, 0, m.innerLength) > 0) this.innerPackets++;
      this.innerBytes += m.innerLength;
      if (m.status === Status.replayed) this.replays++;
    } else {
      this.undecrypted++;
      this.undecryptedBy.set(m.status, (this.undecryptedBy.get(m.status) ?? 0) + 1);
    }
    if (m.direction === null) return;
    const direction = this.#sender(m.direction);
    if (direction === null) return;
    direction.data++;
    if (m.isKeepalive) direction.keepalives++;
    if (opened) direction.decrypted++;
    else direction.undecrypted++;
    if (m.status === Status.replayed) direction.replays++;
    if (m.status === Status.failed) direction.failed++;
    direction.messageBytes += m.length;
    direction.innerBytes += m.innerLength;
    direction.throughput.add(m.time, m.length);
    if (!opened && m.status !== Status.noKeys) return;
    const { missing } = m.direction;
    direction.missingCounters += missing - (this.#missing.get(m.direction) ?? 0);
    this.#missing.set(m.direction, missing);
  }

  #handshake(m: Message): void {
    this.handshakesCompleted++;
    const info = m.handshake!;
    const { initiator, responder } = info.session!;
    const pair = this.#pair(initiator, responder);
    if (pair === null) return;
    pair.handshakeCount++;
    if (pair.handshakes.length >= HANDSHAKES_MAX) return;
    pair.handshakes.push({
      frame: m.frame,
      time: m.time,
      roundTrip: info.answers!.roundTrip,
      rekey: info.rekey,
      verified: info.verdict === 'verified',
      initiator: pair.peers[0] === initiator ? 0 : 1,
    });
  }

  /** Where to count what comes in one direction of a session; the last answer is kept, for it is mostly the next one. */
  #sender(from: SessionDirection): PeerDirectionTally | null {
    if (this.#lastFrom === from) return this.#lastSender;
    const { initiator, responder } = from.session;
    const pair = this.#pair(initiator, responder);
    this.#lastFrom = from;
    this.#lastSender = pair?.directions[pair.peers[0] === initiator ? from.from : from.from === 0 ? 1 : 0] ?? null;
    return this.#lastSender;
  }

  #pair(a: Party | null, b: Party | null): PairTally | null {
    const key = [a?.id ?? '', b?.id ?? ''].sort().join(' ');
    let pair = this.pairs.get(key);
    if (pair === undefined) {
      if (this.pairs.size >= PAIRS_MAX) return null;
      pair = new PairTally([a, b]);
      this.pairs.set(key, pair);
    }
    return pair;
  }
}
