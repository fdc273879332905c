import type { Endpoint } from '@wirestream/core/address/endpoint';
import { parsePrefix } from '@wirestream/core/address/ip';
import { configure } from '@wirestream/core/device/configure';
import { Device } from '@wirestream/core/device/device';
import type { CloseReason, DatagramSink, Driver, PacketSink } from '@wirestream/core/device/driver';
import type { Peer } from '@wirestream/core/device/peer';
import type { Crypto } from '@wirestream/core/noise/crypto';
import { SlabPool } from '@wirestream/core/slab/pool';
import { Slab } from '@wirestream/core/slab/slab';
import type { Connection } from '@wirestream/core/stream/connection';
import { RECORD_MAX } from '@wirestream/core/stream/header';
import { RecordReader } from '@wirestream/core/stream/reader';
import {
  hex,
  type RecordedConnection,
  type RecordedEvent,
  type RecordedHandshake,
  type Recording,
  type Role,
} from './recording.js';

/**
 * Puts the engine in the place of one end of a recording, and lets the other end's TCP happen to it as it was recorded.
 *
 * Theory of operation. What the other end did (SYNs, answers to SYNs, bytes, FINs and RSTs) comes in at the recorded times. What this end did is the
 * engine's own affair now, with three exceptions that tie it to the recording: it wants to reach its peer when the kernel first did; it has an inner packet to
 * send whenever the kernel sent one; and where the other end's recorded bytes depend on what this end drew (ephemeral keys, indices, timestamps of
 * handshakes that were completed) it draws the same.
 *
 * A dial of the engine's meets what the kernel's next dial met: it is refused, or heard by nobody, or it waits for the recorded answer. What the engine concludes
 * is kept as a log; what it says goes nowhere, but is kept too.
 */

/** Conclusions that their connection says all about. */
type Plain = 'connected' | 'accepted' | 'turned away' | 'promoted' | 'active' | 'replaced' | 'given up';

export type Conclusion = { readonly at: number; readonly connection: RecordedConnection | null } & (
  | { readonly what: 'dial'; readonly to: Endpoint }
  | { [W in Plain]: { readonly what: W } }[Plain]
  /** a handshake was completed at this end */
  | {
      readonly what: 'handshake';
      readonly as: 'initiator' | 'responder';
      readonly local: string;
      readonly remote: string;
    }
  /** the other end's, or a failure of the path */
  | { readonly what: 'ended'; readonly reason: CloseReason }
  /** a message of the engine's own, by type */
  | { readonly what: 'says'; readonly type: number; readonly length: number }
);

/** Where monotonic time begins, ms: not at zero. */
export const EPOCH = 1_000_000.5;
const QUEUE = 512 * 1024;
/** Its multiples, modulo 1, are spread evenly. */
const GOLDEN_RATIO = (Math.sqrt(5) - 1) / 2;
const HEADER = 8;
const TRANSPORT = 4;
const OVERHEAD = 32;
/** Bytes behind a packet that may be overwritten. */
const PADDING = 16;

export interface StageOptions {
  readonly crypto: Crypto;
  /** of persistent keepalives, seconds */
  readonly keepalive?: number;
  /** times at which this end lost its keys and connections (its interface went down), ms since the first packet */
  readonly forgetsAt?: readonly number[];
  /** this end's resets are somebody else's doing (ss -K), and news to the engine */
  readonly killed?: boolean;
  /** takes away what the recording has in front of the first record of each connection (the builds that inject garbage) */
  readonly cleanStart?: boolean;
  /** called once at the beginning and at the end of each turn, with the device and its time, ms */
  readonly onTurn?: (device: Device, now: number) => void;
}

/** A data message of the kernel's, and where the engine would have sent it. */
export interface Choice {
  readonly at: number;
  readonly kernel: RecordedConnection;
  readonly ours: RecordedConnection | null;
}

export class Stage implements Driver {
  readonly slabs = new SlabPool(QUEUE, () => Slab.plain(QUEUE), 8);
  readonly inner: PacketSink;
  readonly datagrams: DatagramSink | null = null;
  readonly device: Device;
  readonly peer: Peer;
  readonly log: Conclusion[] = [];
  readonly choices: Choice[] = [];
  /** inner packets that came out, copied */
  readonly delivered: Uint8Array[] = [];
  /** bytes of the other end's for which the engine had no connection */
  lostBytes = 0;
  /** the peer's counter when the kernel's were read */
  rxBytesAtCounters = 0;

  readonly #recording: Recording;
  readonly #role: Role;
  readonly #options: StageOptions;
  readonly #input = Slab.plain(2 * RECORD_MAX);
  readonly #packet = Slab.plain(RECORD_MAX);
  readonly #of = new Map<RecordedConnection, Connection>();
  readonly #recordedAs = new Map<Connection, RecordedConnection>();
  readonly #spoken = new Map<RecordedConnection, Uint8Array>();
  /** dials that nobody answered yet */
  readonly #dials: Connection[] = [];
  /** of connections that the kernel dialled and the engine did not (yet): what came on them */
  readonly #unclaimed = new Map<RecordedConnection, RecordedEvent[]>();
  readonly #flushes: Connection[] = [];
  /** what is to happen at the end of the turn: a driver does not call back from inside a call */
  readonly #later: (() => void)[] = [];
  /** what the kernel says on each connection, cut into records */
  readonly #own = new Map<RecordedConnection, RecordReader>();
  readonly #closedByKernel = new Set<RecordedConnection>();
  readonly #replaced = new Set<RecordedConnection>();
  #random = 12_345;
  #nextIndex: Uint8Array | null = null;
  #nextEphemeral: Uint8Array | null = null;
  #now = 0;
  /** where in the recording what is drawn comes from: now, or the beginning of what waited to be claimed */
  #drawnAt = 0;
  #wanted = false;
  /** that this end dialled from last */
  #address: string | null = null;
  #active: Connection | null = null;
  #keypair: unknown = null;

  constructor(recording: Recording, role: Role, options: StageOptions) {
    this.#recording = recording;
    this.#role = role;
    this.#options = options;
    const room = Slab.plain(RECORD_MAX);
    this.inner = {
      slab: room,
      reserve: () => 0,
      commit: (offset, length) => this.delivered.push(room.bytes.slice(offset, offset + length)),
    };
    this.device = new Device(this, options.crypto, { mtu: 1420 });
    const own = recording.sides[role];
    const other = recording.sides[role === 'A' ? 'B' : 'A'];
    const dials = recording.connections.find((connection) => connection.dialler === role);
    configure(this.device, this.#time(0), {
      privateKey: own.privateKey,
      transport: 'tcp',
      listenPort: own.listenPort,
      peers: [
        {
          publicKey: own.peerPublicKey,
          presharedKey: recording.presharedKey,
          allowedIps: other.tunnelAddresses.map((address) => ({
            prefix: parsePrefix(`${address}/${address.includes(':') ? 128 : 32}`)!,
          })),
          ...(dials === undefined ? {} : { endpoint: dials.to }),
        },
      ],
    });
    this.peer = this.device.peer(own.peerPublicKey)!;
    this.#imitateDraws();
    options.onTurn?.(this.device, this.#time(0));
  }

  /** Plays all of it. */
  run(): this {
    let counted = false;
    const forgets = [...(this.#options.forgetsAt ?? [])];
    for (const event of this.#recording.events) {
      if (!counted && event.at > this.#recording.countersAt) {
        counted = true;
        this.#pass(this.#recording.countersAt);
        this.rxBytesAtCounters = this.peer.rxBytes;
      }
      while (forgets.length > 0 && forgets[0]! <= event.at) {
        this.#pass(forgets.shift()!);
        this.#forget();
      }
      this.#pass(event.at);
      this.#turn(() => this.#happens(event));
    }
    return this;
  }

  /** The recorded connection that the engine's outgoing messages take now. */
  get active(): RecordedConnection | null {
    const { active } = this.peer.links;
    return active === null ? null : (this.#recordedAs.get(active) ?? null);
  }

  of<W extends Conclusion['what']>(what: W): Extract<Conclusion, { what: W }>[] {
    return this.log.filter((entry): entry is Extract<Conclusion, { what: W }> => entry.what === what);
  }

  connection(recorded: RecordedConnection): Connection | undefined {
    return this.#of.get(recorded);
  }

  #forget(): void {
    this.peer.links.close();
    this.peer.timers.clear();
    this.peer.wipeKeys();
    this.#conclude();
  }

  // ---- time

  #time(at: number): number {
    return EPOCH + at;
  }

  /** Wakes the device as often as it wants until then. */
  #pass(until: number): void {
    for (let next = this.device.nextWakeAt(); next <= this.#time(until); next = this.device.nextWakeAt()) {
      this.#now = this.#drawnAt = Math.max(this.#now, next - EPOCH);
      this.#turn(() => this.device.wake(this.#time(this.#now)));
    }
    this.#now = this.#drawnAt = until;
  }

  #turn(act: () => void): void {
    act();
    this.#conclude();
    for (;;) {
      for (const connection of this.#flushes.splice(0)) this.#write(connection);
      const next = this.#later.shift();
      if (next === undefined) break;
      next();
    }
    this.#conclude();
    this.#options.onTurn?.(this.device, this.#time(this.#now));
  }

  // ---- what the other end does

  #happens(event: RecordedEvent): void {
    const { connection } = event;
    if (event.what === 'syn') {
      if (connection.dialler !== this.#role) return;
      this.#moved(connection.from.address);
      this.#want();
    } else if (event.what === 'established') {
      if (connection.dialler === this.#role) this.#answered(connection);
      else this.#dialled(connection);
    } else if (event.from === this.#role) {
      if (event.what === 'data') this.#sendAsMuch(connection, event.bytes);
      else if (event.what === 'FIN') this.#closedByKernel.add(connection);
      else if (event.what === 'RST' && this.#options.killed === true) this.#killed(connection);
    } else {
      this.#comes(event);
    }
  }

  /** The kernel dialled from another address: the one before is gone, of which the driver tells. */
  #moved(address: string): void {
    const { lastDialled } = this.peer.links;
    if (this.#address !== null && this.#address !== address && lastDialled !== null) {
      this.device.pathChanged(this.#time(this.#now), lastDialled);
    }
    this.#address = address;
  }

  /** This end's socket was killed from outside. */
  #killed(recorded: RecordedConnection): void {
    const connection = this.#of.get(recorded);
    if (connection !== undefined && connection.state !== 'closed') this.#ended(recorded, connection, 'reset');
  }

  /** The kernel was told where its peer is, and dialled at once. */
  #want(): void {
    if (this.#wanted) return;
    this.#wanted = true;
    const now = this.#time(this.#now);
    const persistentKeepalive = this.#options.keepalive ?? 0;
    if (persistentKeepalive > 0) {
      const { peerPublicKey: publicKey } = this.#recording.sides[this.#role];
      configure(this.device, now, { peers: [{ publicKey, persistentKeepalive, allowedIps: [] }] });
    } else {
      this.peer.sendKeepalive(now);
    }
  }

  /** Somebody dialled this end. */
  #dialled(recorded: RecordedConnection): void {
    const connection = this.device.accepted(this.#time(this.#now), recorded.to, recorded.from);
    if (connection === null) return this.#note({ what: 'turned away', connection: recorded });
    this.#bind(recorded, connection);
    this.#note({ what: 'accepted', connection: recorded });
  }

  /** The other end answered the kernel's dial: that goes to the engine's, now or when it dials. */
  #answered(recorded: RecordedConnection): void {
    const dial = this.#dials.shift();
    if (dial === undefined) this.#unclaimed.set(recorded, []);
    else this.#connect(recorded, dial);
  }

  #connect(recorded: RecordedConnection, connection: Connection): void {
    this.#bind(recorded, connection);
    this.#note({ what: 'connected', connection: recorded });
    this.device.dialled(this.#time(this.#now), connection, recorded.from);
  }

  #comes(event: RecordedEvent): void {
    const recorded = event.connection;
    const waiting = this.#unclaimed.get(recorded);
    if (waiting !== undefined) {
      // Over before the engine dialled: as if it had never been.
      if (event.what === 'data') waiting.push(event);
      else this.#unclaimed.delete(recorded);
      return;
    }
    // A stranger that leaves because the kernel closed on it would have stayed as long as the engine lets it.
    if (event.what === 'FIN' && event.from === 'stranger' && this.#closedByKernel.has(recorded)) return;
    const connection = this.#of.get(recorded);
    if (connection === undefined || connection.state === 'closed') {
      if (event.what === 'data') this.lostBytes += event.bytes.length;
      else if (event.what === 'RST' && recorded.refusedAt !== Infinity) this.#refuse();
      return;
    }
    if (event.what === 'data') this.#read(recorded, connection, event.bytes);
    else this.#ended(recorded, connection, event.what === 'FIN' ? 'eof' : 'reset');
  }

  #refuse(): void {
    const dial = this.#dials.shift();
    if (dial !== undefined) this.device.closed(this.#time(this.#now), dial, 'refused');
  }

  #ended(recorded: RecordedConnection, connection: Connection, reason: CloseReason): void {
    this.#note({ what: 'ended', connection: recorded, reason });
    this.device.closed(this.#time(this.#now), connection, reason);
  }

  #read(recorded: RecordedConnection, connection: Connection, bytes: Uint8Array): void {
    if (!connection.wantsInput) return;
    const rest = this.#options.cleanStart === true ? this.#afterNoise(recorded, bytes) : bytes;
    if (rest.length === 0) return;
    const kept = connection.reader.restore(this.#input.bytes, 0);
    this.#input.bytes.set(rest, kept);
    const before = connection.peer;
    this.device.readable(this.#time(this.#now), connection, this.#input, 0, kept + rest.length);
    this.#input.bytes.fill(0xdd, 0, kept + rest.length);
    if (before === null && connection.peer !== null) this.#note({ what: 'promoted', connection: recorded });
  }

  /** All from the first record on; as long as that has not come, nothing. */
  #afterNoise(recorded: RecordedConnection, bytes: Uint8Array): Uint8Array {
    const earlier = this.#spoken.get(recorded) ?? new Uint8Array(0);
    if (earlier.length > 0 && earlier[0] === 0) return bytes;
    const all = new Uint8Array(earlier.length + bytes.length);
    all.set(earlier);
    all.set(bytes, earlier.length);
    const start = all.findIndex((byte) => byte !== NOISE);
    const rest = start < 0 ? new Uint8Array(0) : all.subarray(start);
    this.#spoken.set(recorded, rest.length > 0 ? rest.slice(0, 1) : all);
    return rest;
  }

  // ---- what this end did

  /** Inner packets of the sizes that the kernel sent. */
  #sendAsMuch(recorded: RecordedConnection, bytes: Uint8Array): void {
    const reader = this.#own.get(recorded) ?? new RecordReader();
    this.#own.set(recorded, reader);
    const kept = reader.restore(this.#input.bytes, 0);
    this.#input.bytes.set(bytes, kept);
    reader.attach(this.#input.bytes, 0, kept + bytes.length);
    while (reader.next()) {
      const length = reader.messageLength - OVERHEAD;
      if (this.#input.bytes[reader.messageOffset] === TRANSPORT && length > 0) {
        this.choices.push({ at: this.#now, kernel: recorded, ours: this.active });
        this.#send(length);
      }
    }
    reader.detach();
  }

  #send(length: number): void {
    const packet = this.#packet.bytes;
    packet.fill(0, 0, length + PADDING);
    packet.set([0x45, 0, length >> 8, length & 255, 0, 0, 0, 0, 64, 59]);
    packet.set(ip4(this.#recording.sides[this.#role].tunnelAddresses[0]!), 12);
    packet.set(ip4(this.#recording.sides[this.#role === 'A' ? 'B' : 'A'].tunnelAddresses[0]!), 16);
    this.device.packet(this.#time(this.#now), this.#packet, 0, length);
  }

  /**
   * The engine draws what the kernel drew: for a response, what it drew for its answer to the same initiation; for an
   * initiation, what it drew for the next one that was answered. Jitter depends on nothing but the time, so that one more draw somewhere does not let all
   * later dials miss the answers that the recording has for them.
   */
  #imitateDraws(): void {
    this.device.random01 = () => (this.#now * GOLDEN_RATIO) % 1;
    const { handshake } = this.peer;
    const { indices } = this.device;
    const add = indices.add.bind(indices);
    indices.add = (peer) => {
      const drawn =
        handshake.state === 'initiationConsumed' ? this.#recordedAnswer(handshake.remoteIndex) : this.#next();
      this.#nextIndex = drawn === undefined ? null : bytesOf(drawn.sender);
      this.#nextEphemeral = drawn?.ephemeralPrivate ?? null;
      return add(peer);
    };
    const create = handshake.createInitiation.bind(handshake);
    handshake.createInitiation = (ephemeral, index, timestamp) =>
      create(ephemeral, index, this.#next()?.timestamp ?? timestamp);
  }

  #recordedAnswer(initiator: number): RecordedHandshake | undefined {
    const receiver = hex(Uint8Array.of(initiator, initiator >>> 8, initiator >>> 16, initiator >>> 24));
    return this.#recording.handshakes.find((h) => h.kind === 'response' && h.receiver === receiver);
  }

  #next(): RecordedHandshake | undefined {
    const { handshakes } = this.#recording;
    const answer = handshakes.find((h) => h.kind === 'response' && h.from !== this.#role && h.at > this.#drawnAt);
    return answer && handshakes.find((h) => h.kind === 'initiation' && h.sender === answer.receiver);
  }

  // ---- Driver

  random(out: Uint8Array): void {
    const drawn = out.length === 4 ? this.#nextIndex : out.length === 32 ? this.#nextEphemeral : null;
    if (drawn !== null) {
      out.set(drawn);
      if (out.length === 4) this.#nextIndex = null;
      else this.#nextEphemeral = null;
      return;
    }
    for (let i = 0; i < out.length; i++) {
      this.#random = (Math.imul(this.#random, 1_664_525) + 1_013_904_223) >>> 0;
      out[i] = this.#random >>> 24;
    }
  }

  wallTime(): number {
    return this.#recording.startedAt + this.#now;
  }

  dial(connection: Connection, to: Endpoint): void {
    this.#note({ what: 'dial', connection: null, to });
    for (const [recorded, events] of this.#unclaimed) {
      this.#unclaimed.delete(recorded);
      this.#later.push(() => {
        this.#drawnAt = recorded.establishedAt;
        this.#connect(recorded, connection);
        for (const event of events) this.#comes(event);
        this.#drawnAt = this.#now;
      });
      return;
    }
    const mine = this.#recording.connections.filter((c) => c.dialler === this.#role);
    const next = mine.find(
      (c) => c.synAt >= this.#now || (c.establishedAt !== Infinity && c.establishedAt >= this.#now),
    );
    if (next === undefined || next.refusedAt === Infinity || next.synAt <= this.#now) this.#dials.push(connection);
    else this.#later.push(() => this.device.closed(this.#time(this.#now), connection, 'refused'));
  }

  flush(connection: Connection): void {
    this.#flushes.push(connection);
  }

  shutdown(): void {}

  close(connection: Connection): void {
    const dial = this.#dials.indexOf(connection);
    if (dial >= 0) this.#dials.splice(dial, 1);
    const recorded = this.#recordedAs.get(connection) ?? null;
    if (recorded !== null) this.#note({ what: 'given up', connection: recorded });
  }

  #write(connection: Connection): void {
    connection.flushRequested = false;
    const recorded = this.#recordedAs.get(connection) ?? null;
    const { outbox } = connection;
    while (connection.state !== 'dialling' && outbox.peek(this.#time(this.#now))) {
      const { runOffset, runLength } = outbox;
      const bytes = outbox.slab.bytes.slice(runOffset, runOffset + runLength);
      for (let at = 0; at < bytes.length;) {
        const length = (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
        const message = at + HEADER + (bytes[at + 5] === 1 ? 4 : 0);
        this.#note({ what: 'says', connection: recorded, type: bytes[message]!, length: at + length - message });
        at += length;
      }
      this.device.written(this.#time(this.#now), connection, runLength);
    }
  }

  // ---- what it concludes

  #bind(recorded: RecordedConnection, connection: Connection): void {
    this.#of.set(recorded, connection);
    this.#recordedAs.set(connection, recorded);
  }

  #note(entry: DistributiveOmit<Conclusion, 'at'>): void {
    this.log.push({ at: this.#now, ...entry });
  }

  /** After each turn: what is another now. */
  #conclude(): void {
    const { links, keypairs } = this.peer;
    if (links.active !== this.#active) {
      this.#active = links.active;
      this.#note({ what: 'active', connection: this.active });
    }
    for (const connection of links.draining) {
      const recorded = this.#recordedAs.get(connection);
      if (recorded !== undefined && !this.#replaced.has(recorded)) {
        this.#replaced.add(recorded);
        this.#note({ what: 'replaced', connection: recorded });
      }
    }
    const { current } = keypairs;
    if (current !== this.#keypair && current !== null) {
      const as = current.isInitiator ? 'initiator' : 'responder';
      const [local, remote] = [current.localIndex, current.remoteIndex].map((n) =>
        hex(Uint8Array.of(n, n >>> 8, n >>> 16, n >>> 24)),
      ) as [string, string];
      this.#note({ what: 'handshake', connection: this.active, as, local, remote });
    }
    this.#keypair = current;
  }
}

/** The byte that the fault-injecting build repeats in front of records. */
const NOISE = 0xa5;

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

function ip4(address: string): number[] {
  return address.split('.').map(Number);
}

function bytesOf(index: string): Uint8Array {
  return Uint8Array.from(index.match(/../g)!, (pair) => parseInt(pair, 16));
}
