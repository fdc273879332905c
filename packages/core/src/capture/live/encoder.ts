import { formatKey } from '../../config/key.js';
import type { Endpoint } from '../../address/endpoint.js';
import type { CloseReason } from '../../device/driver.js';
import type { DropReason } from '../../device/drops.js';
import type { Peer } from '../../device/peer.js';
import type { DeviceTap } from '../../device/tap.js';
import type { Slab } from '../../slab/slab.js';
import type { Connection } from '../../stream/connection.js';
import { Flag, HEADER, Kind, PEER_AT, writeHeader, type ConnectionNews, type EndpointNews } from './events.js';
import type { ByteRing } from './ring.js';
import { WrittenRecords } from './written.js';

/** What of a device somebody wants to see. Plain data. */
export interface TapOptions {
  /** messages, with their record headers */
  readonly messages: boolean;
  /** inner packets */
  readonly inner: boolean;
  /** lines of a key log */
  readonly keys: boolean;
  /** bytes of each message and packet; the rest is not copied */
  readonly snapLength: number;
  /** public key: only what is this peer's */
  readonly peer?: Uint8Array;
}

/** What the encoder has to know of the driver. */
export interface TapSurroundings {
  /** ms to add to the monotonic clock to get ms since the Unix epoch */
  readonly wallOffset: number;
  /** port that datagrams leave from */
  readonly listenPort: () => number;
  /** Address of ours that datagrams to that endpoint leave from; null where that is not known. */
  readonly localOf: (remote: Endpoint) => string | null;
}

/** Names given at most, of endpoints and of peers, before they are given anew. */
const NAMES_MAX = 4096;
/** What of a record is always told: its headers and the first bytes of its message. */
const SNAP_MIN = 64;

/**
 * Turns what a device tells into events in a ring (events.ts). What does not fit is counted and left out; the device never waits.
 *
 * Peers and endpoints have numbers, which are explained by an event of their own before they are first used. Everything that belongs to one
 * message is written before any of it is published: so the peer can be filled in once it is known, and all of it taken back when it turns
 * out to be another peer's than the one that is wanted.
 */
export class TapEncoder implements DeviceTap {
  readonly #header = new Uint8Array(HEADER);
  readonly #view = new DataView(this.#header.buffer);
  readonly #fields = {
    kind: Kind.lost,
    flags: 0,
    header: 0,
    time: 0,
    connection: 0,
    endpoint: 0,
    peer: 0,
    length: 0,
  } as {
    kind: Kind;
    flags: number;
    header: number;
    time: number;
    connection: number;
    endpoint: number;
    peer: number;
    length: number;
  };
  readonly #text = new TextEncoder();
  readonly #peers = new Map<Peer, number>();
  readonly #endpoints = new Map<Endpoint, number>();
  readonly #writers = new Map<Connection, WrittenRecords>();
  /** bytes that each connection's reader had passed over when its last message came */
  readonly #skipped = new WeakMap<Connection, number>();
  #names = 0;
  #now = 0;
  #offset: number;
  #lost = 0;
  /** of the message or packet at hand (and of what it leads to at once): where its events begin, where its peer is to be filled in, whose it is */
  #depth = 0;
  #begun = -1;
  #peerAt = -1;
  #whose: Peer | null = null;

  constructor(
    private readonly ring: ByteRing,
    private readonly options: TapOptions,
    private readonly around: TapSurroundings,
  ) {
    this.#offset = around.wallOffset;
  }

  get wantsKeys(): boolean {
    return this.options.keys;
  }

  /** Tells of what is there already. @param staticKeys lines of a key log; empty where they are not wanted */
  begin(now: number, connections: Iterable<Connection>, staticKeys: string): void {
    this.#now = now;
    if (staticKeys !== '') {
      this.#fresh(Kind.keys, 0);
      this.#putText(staticKeys);
    }
    for (const connection of connections) this.#opened(connection, Flag.before);
  }

  /**
   * Shows the reader everything so far; to be called at the end of a turn.
   * @param now and `wallTime`, ms since the Unix epoch, read at the same moment: when the clock was set that is noticed here
   * @returns whether the reader has to be told
   */
  publish(now: number, wallTime: number): boolean {
    if (this.ring.unpublished === 0 && this.#lost === 0) return false;
    // A clock that counts whole ms is at most one behind.
    const difference = wallTime - (now + this.#offset);
    if (difference > 1 || difference < -2) this.#offset = wallTime - now;
    if (this.#lost > 0) this.#tellLost();
    return this.ring.publish();
  }

  // ---- DeviceTap

  received(
    now: number,
    connection: Connection | null,
    from: Endpoint,
    slab: Slab,
    offset: number,
    length: number,
  ): void {
    this.#now = now;
    this.#begin(connection?.peer ?? null);
    if (!this.options.messages) return;
    if (connection !== null) this.#passedOver(connection);
    const start = connection === null ? offset : connection.reader.recordOffset;
    const endpoint = connection === null ? this.#endpoint(from) : 0;
    const peer = this.#numberOf(connection?.peer ?? null);
    const f = this.#fresh(Kind.message, Flag.inbound | (connection?.reader.found === true ? Flag.found : 0));
    f.header = offset - start;
    f.connection = connection?.id ?? 0;
    f.endpoint = endpoint;
    f.peer = peer;
    f.length = length;
    const at = this.#put(slab.bytes, start, f.header + Math.min(length, this.#snap));
    if (at >= 0) this.#peerAt = at + PEER_AT;
  }

  judged(): void {
    if (this.#depth === 0 || --this.#depth > 0) return;
    const begun = this.#begun;
    this.#begun = this.#peerAt = -1;
    if (this.#isWanted(this.#whose)) return;
    this.ring.rewind(begun);
    // Names that were explained there are unknown again.
    this.#peers.clear();
    this.#endpoints.clear();
  }

  identified(peer: Peer): void {
    this.#whose = peer;
    if (this.#peerAt < 0) return;
    // A name that has to be explained first comes behind the message that it is filled into, which readers allow for.
    const number = this.#numberOf(peer);
    this.ring.patch(this.#peerAt, number);
    this.#peerAt = -1;
  }

  written(now: number, connection: Connection, slab: Slab, offset: number, length: number): void {
    this.#now = now;
    if (!this.options.messages || !this.#isWanted(connection.peer)) return;
    this.#writer(connection).push(slab.bytes, offset, length);
  }

  datagram(now: number, peer: Peer | null, to: Endpoint, slab: Slab, offset: number, length: number): void {
    this.#now = now;
    if (!this.options.messages || (this.#begun < 0 && !this.#isWanted(peer))) return;
    const endpoint = this.#endpoint(to);
    const number = this.#numberOf(peer);
    const f = this.#fresh(Kind.message, 0);
    f.endpoint = endpoint;
    f.peer = number;
    f.length = length;
    this.#put(slab.bytes, offset, Math.min(length, this.#snap));
  }

  outgoing(now: number, peer: Peer | null, slab: Slab, offset: number, length: number): void {
    this.#now = now;
    this.#begin(peer);
    this.#inner(peer, 0, slab, offset, length);
  }

  incoming(now: number, peer: Peer, slab: Slab, offset: number, length: number): void {
    this.#now = now;
    this.#inner(peer, Flag.inbound, slab, offset, length);
  }

  dropped(peer: Peer | null, reason: DropReason, count: number): void {
    const isOwn = this.#begun >= 0;
    if (isOwn && peer !== null) this.identified(peer);
    if (!isOwn && !this.#isWanted(peer)) return;
    const number = this.#numberOf(peer);
    const f = this.#fresh(Kind.dropped, isOwn ? Flag.before : 0);
    f.peer = number;
    f.length = count;
    this.#putText(reason);
  }

  keys(peer: Peer, lines: string): void {
    if (!this.#isWanted(peer)) return;
    this.#fresh(Kind.keys, 0);
    this.#putText(lines);
  }

  opened(now: number, connection: Connection): void {
    this.#now = now;
    this.#opened(connection, 0);
  }

  promoted(connection: Connection, peer: Peer): void {
    this.#connection(Kind.promoted, connection, peer);
  }

  activated(now: number, connection: Connection): void {
    this.#now = now;
    this.#connection(Kind.activated, connection, connection.peer);
  }

  moved(now: number, peer: Peer, why: string): void {
    this.#now = now;
    if (!this.#isWanted(peer)) return;
    const number = this.#numberOf(peer);
    const f = this.#fresh(Kind.moved, 0);
    f.peer = number;
    this.#putText(`${peer.path.current.toUpperCase()} now: ${why}`);
  }

  closed(connection: Connection, why: CloseReason | null): void {
    this.#writers.delete(connection);
    this.#connection(Kind.closed, connection, connection.peer, why ?? '');
  }

  // ---- the pieces

  get #snap(): number {
    return Math.max(this.options.snapLength, SNAP_MIN);
  }

  #begin(peer: Peer | null): void {
    if (this.#depth++ > 0) return;
    this.#begun = this.ring.position;
    this.#peerAt = -1;
    this.#whose = peer;
  }

  /** While a message is at hand it is decided at its end whose it is. */
  #isWanted(peer: Peer | null): boolean {
    const { peer: wanted } = this.options;
    return wanted === undefined || (peer !== null && peer.publicKey.every((byte, i) => byte === wanted[i]));
  }

  #inner(peer: Peer | null, flags: number, slab: Slab, offset: number, length: number): void {
    if (!this.options.inner || (this.#begun < 0 && !this.#isWanted(peer))) return;
    const number = this.#numberOf(peer);
    const f = this.#fresh(Kind.inner, flags);
    f.peer = number;
    f.length = length;
    this.#put(slab.bytes, offset, Math.min(length, this.#snap));
  }

  /** Tells of bytes that the reader passed over before the message that it found now. */
  #passedOver(connection: Connection): void {
    const { skippedBytes } = connection.reader;
    const before = this.#skipped.get(connection) ?? 0;
    if (skippedBytes === before) return;
    this.#skipped.set(connection, skippedBytes);
    // A guess that was wrong gives bytes back.
    if (skippedBytes < before) return;
    const f = this.#fresh(Kind.resync, Flag.inbound);
    f.connection = connection.id;
    f.length = skippedBytes - before;
    this.#put(NOTHING, 0, 0);
  }

  #writer(connection: Connection): WrittenRecords {
    let writer = this.#writers.get(connection);
    if (writer === undefined) {
      writer = new WrittenRecords((bytes, offset, header, length) => {
        const number = this.#numberOf(connection.peer);
        const f = this.#fresh(Kind.message, 0);
        f.header = header;
        f.connection = connection.id;
        f.peer = number;
        f.length = length - header;
        this.#put(bytes, offset, header + Math.min(f.length, this.#snap));
      }, connection.outbox.unfinished);
      this.#writers.set(connection, writer);
    }
    return writer;
  }

  #opened(connection: Connection, flags: number): void {
    const { id, direction, remote, local, peer } = connection;
    this.#skipped.set(connection, connection.reader.skippedBytes);
    // Made now, since only now it is known what of a record had been written before.
    if (this.options.messages && this.#isWanted(peer)) this.#writer(connection);
    if (peer !== null && !this.#isWanted(peer)) return;
    const number = this.#numberOf(peer);
    const news: ConnectionNews = {
      direction,
      remote: remote.address,
      remotePort: remote.port,
      local: local?.address ?? null,
      localPort: local?.port ?? 0,
    };
    const f = this.#fresh(Kind.opened, flags);
    f.connection = id;
    f.peer = number;
    this.#putText(JSON.stringify(news));
  }

  #connection(kind: Kind, { id }: Connection, peer: Peer | null, text = ''): void {
    if (this.#begun < 0 && !this.#isWanted(peer)) return;
    const number = this.#numberOf(peer);
    const f = this.#fresh(kind, this.#begun >= 0 ? Flag.before : 0);
    f.connection = id;
    f.peer = number;
    this.#putText(text);
  }

  /** A peer's number, explained if it is new. */
  #numberOf(peer: Peer | null): number {
    if (peer === null) return 0;
    const known = this.#peers.get(peer);
    if (known !== undefined) return known;
    const number = ++this.#names;
    const f = this.#fresh(Kind.peer, 0);
    f.peer = number;
    if (this.#putText(formatKey(peer.publicKey))) remember(this.#peers, peer, number);
    return number;
  }

  #endpoint(remote: Endpoint): number {
    const known = this.#endpoints.get(remote);
    if (known !== undefined) return known;
    const number = ++this.#names;
    const news: EndpointNews = {
      remote: remote.address,
      remotePort: remote.port,
      local: this.around.localOf(remote),
      localPort: this.around.listenPort(),
    };
    const f = this.#fresh(Kind.endpoint, 0);
    f.endpoint = number;
    if (this.#putText(JSON.stringify(news))) remember(this.#endpoints, remote, number);
    return number;
  }

  #fresh(kind: Kind, flags: number) {
    const f = this.#fields;
    f.kind = kind;
    f.flags = flags;
    f.time = this.#now + this.#offset;
    f.header = f.connection = f.endpoint = f.peer = f.length = 0;
    return f;
  }

  #putText(text: string): boolean {
    const bytes = this.#text.encode(text);
    return this.#put(bytes, 0, bytes.length) >= 0;
  }

  /** Writes the event at hand with that content. @returns where it begins, -1 when there was no room */
  #put(bytes: Uint8Array, offset: number, length: number): number {
    const { ring } = this;
    // Room is left for saying how many were lost.
    if (ring.free < 2 * HEADER + length) {
      this.#lost++;
      return -1;
    }
    if (this.#lost > 0 && this.#fields.kind !== Kind.lost) {
      const kept = { ...this.#fields };
      this.#tellLost();
      Object.assign(this.#fields, kept);
      if (ring.free < 2 * HEADER + length) {
        this.#lost++;
        return -1;
      }
    }
    const at = ring.position;
    writeHeader(this.#view, this.#fields, length);
    ring.put(this.#header, 0, HEADER);
    if (length > 0) ring.put(bytes, offset, length);
    return at;
  }

  #tellLost(): void {
    if (this.ring.free < HEADER) return;
    const f = this.#fresh(Kind.lost, 0);
    f.length = this.#lost;
    this.#lost = 0;
    writeHeader(this.#view, f, 0);
    this.ring.put(this.#header, 0, HEADER);
  }
}

const NOTHING = new Uint8Array(0);

function remember<T>(names: Map<T, number>, key: T, number: number): void {
  if (names.size >= NAMES_MAX) names.clear();
  names.set(key, number);
}
