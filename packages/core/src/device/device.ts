import { type Endpoint } from '../address/endpoint.js';
import { OWN_ABILITIES } from '../control/abilities.js';
import { CookieChecker } from '../cookie/checker.js';
import { CookieJar } from '../cookie/jar.js';
import { RateLimiter } from '../cookie/ratelimiter.js';
import { wipe } from '../noise/bytes.js';
import { KEY_LENGTH, type Crypto } from '../noise/crypto.js';
import { Handshake } from '../noise/handshake.js';
import { LocalIdentity } from '../noise/identity.js';
import { KeypairSet } from '../noise/keypairs.js';
import { TimestampSource } from '../noise/tai64n.js';
import { makeOffloadRecord } from '../offload/record.js';
import { VIRTIO_HEADER } from '../offload/virtio.js';
import type { Slab } from '../slab/slab.js';
import { Connection } from '../stream/connection.js';
import type { Links, LinksHost } from '../stream/links.js';
import type { OutboxLimits } from '../stream/outbox.js';
import { PendingList } from '../stream/pending.js';
import { AllowedIps } from './allowedips.js';
import { DatagramCarrier } from './datagram.js';
import { Deadlines } from './deadlines.js';
import type { CloseReason, Driver } from './driver.js';
import { DropCounters } from './drops.js';
import { IndexTable } from './indextable.js';
import { keyLogLines } from './keylog.js';
import { LoadGauge } from './load.js';
import { PROBE_INTERVAL } from './path.js';
import { Peer } from './peer.js';
import { receiveDatagram, receiveStream } from './receive.js';
import type { Transport } from './settings.js';
import type { DeviceSnapshot } from './snapshot.js';
import type { DeviceTap } from './tap.js';

/**
 * A WireGuard device: one identity, its peers, and everything that arrives.
 *
 * Theory of operation. The device does no I/O. A driver tells it what happened, each call with the time in ms on a
 * monotonic clock: an inner packet was read (`packet`), a connection was accepted, dialled, readable or closed, a datagram came in. What
 * the device wants done goes out through the `Driver` interface: dial, flush, close, deliver. Between events nothing runs; `nextWake` says
 * when `wake` wants to be called, and why, and calling it more often changes nothing.
 *
 * A packet's way out: `packet` → allowed IPs → `Peer.send` → sealed into the carrier's slab → `Driver.flush`.
 * A message's way in: `readable` or `datagram` → record reader → receive.ts → opened into `Driver.inner`'s slab → delivered.
 *
 * Nobody who has not authenticated gets a byte from a device, with one exception that WireGuard itself makes: a cookie reply over UDP, under load, to
 * a message whose MAC1 shows that its sender knows our public key.
 */

/** When `wake` wants to be called. */
export interface Wake {
  /** ms; may be in the past, which means at once */
  readonly at: number;
  readonly why: string;
}

export interface DeviceOptions {
  /** of the inner interface, bytes: padding never makes a packet longer. 0 when unknown */
  readonly mtu?: number;
  /** bounds of each connection's send queue */
  readonly outbox?: OutboxLimits;
  /** Takes lines of a Wireshark key log, each ending in a newline. They are secrets: with them all traffic can be read. */
  readonly keyLog?: (lines: string) => void;
}

export class Device {
  transport: Transport = 'udp';
  /** whether peers that do not say otherwise get control messages */
  extensions = true;
  /** what is announced to them that we can do (control/abilities.ts); a change is announced by `announce` */
  abilities = OWN_ABILITIES;
  mtu: number;
  /** what the driver listens on; for people */
  listenPort = 0;
  /** whether the driver listens there on TCP, too */
  listensTcp = false;
  /** how often UDP is probed while a peer is on TCP for want of it, ms */
  probeInterval = PROBE_INTERVAL;
  fwmark = 0;
  readonly peers = new Map<string, Peer>();
  readonly allowedIps = new AllowedIps<Peer>();
  readonly indices: IndexTable;
  readonly checker: CookieChecker;
  readonly limiter = new RateLimiter();
  readonly load = new LoadGauge();
  readonly pending = new PendingList();
  /** what was dropped and belongs to no peer */
  readonly drops = new DropCounters();
  readonly linksHost: LinksHost;

  #tap: DeviceTap | null = null;
  #identity: LocalIdentity | null = null;
  readonly #deadlines = new Deadlines<Peer>();
  readonly #touched: Peer[] = [];
  readonly #timestamps = new WeakMap<Peer, TimestampSource>();
  #lastConnectionId = 0;
  readonly #outbox: OutboxLimits | undefined;
  readonly #keyLog: ((lines: string) => void) | undefined;
  readonly #draw = new Uint8Array(4);

  constructor(
    readonly driver: Driver,
    readonly crypto: Crypto,
    options: DeviceOptions = {},
  ) {
    this.mtu = options.mtu ?? 0;
    this.#outbox = options.outbox;
    this.#keyLog = options.keyLog;
    const random = (out: Uint8Array) => driver.random(out);
    this.indices = new IndexTable(random);
    this.checker = new CookieChecker(crypto, this.limiter, random);
    this.linksHost = {
      open: (now, remote, links) => this.#open(now, remote, links),
      shutdown: (connection) => driver.shutdown(connection),
      close: (connection, abort) => this.#close(connection, abort),
      activated: (now, connection) => this.#tap?.activated(now, connection),
      random: () => this.random01(),
    };
  }

  // ---- being watched

  /** Who watches; null when nobody does. */
  get tap(): DeviceTap | null {
    return this.#tap;
  }

  set tap(tap: DeviceTap | null) {
    this.#tap = tap;
    this.drops.watcher = tap === null ? null : (reason, count) => tap.dropped(null, reason, count);
    for (const peer of this.peers.values()) this.#watchDrops(peer);
  }

  #watchDrops(peer: Peer): void {
    const tap = this.#tap;
    peer.drops.watcher = tap === null ? null : (reason, count) => tap.dropped(peer, reason, count);
  }

  // ---- what happened: inner packets

  /**
   * An inner packet of `length` bytes at `offset` came from the TUN. Up to 15 bytes behind it may be overwritten.
   * @returns whether a peer took it; the caller may answer with an ICMP error when none did
   */
  packet(now: number, slab: Slab, offset: number, length: number): boolean {
    const peer = this.allowedIps.lookupDestination(slab.bytes, offset, length);
    if (this.#tap === null) return this.#packet(now, peer, slab, offset, length);
    this.#tap.outgoing(now, peer, slab, offset, length);
    const taken = this.#packet(now, peer, slab, offset, length);
    this.#tap?.judged();
    return taken;
  }

  /**
   * A super-packet of TCP came from the TUN: `length` bytes at `offset`, virtio-net header first. Up to 15 bytes behind it may be overwritten.
   * @returns whether it was taken whole; otherwise it is to be cut up, and its packets handed to `packet`
   */
  superPacket(now: number, slab: Slab, offset: number, length: number): boolean {
    const packet = offset + VIRTIO_HEADER;
    const peer = this.allowedIps.lookupDestination(slab.bytes, packet, length - VIRTIO_HEADER);
    if (peer === null || !peer.takesOffload(now, length) || !makeOffloadRecord(slab, offset, length)) return false;
    if (this.#tap !== null) this.#tap.outgoing(now, peer, slab, packet, length - VIRTIO_HEADER);
    peer.sendOffload(now, slab, offset, length);
    if (this.#tap !== null) this.#tap.judged();
    return true;
  }

  #packet(now: number, peer: Peer | null, slab: Slab, offset: number, length: number): boolean {
    if (peer === null) {
      const version = length > 0 ? slab.bytes[offset]! >> 4 : 0;
      this.drops.count(version === 4 || version === 6 ? 'no-peer-for-destination' : 'malformed-packet');
      return false;
    }
    if (peer.carrier === null && !peer.canDial && !(peer.transport !== 'udp' && peer.hasSession(now))) {
      peer.drops.count('no-endpoint');
      return false;
    }
    peer.send(now, slab, offset, length);
    return true;
  }

  // ---- what happened: TCP

  /** A connection was accepted. @returns its state, or null when it must be closed at once */
  accepted(now: number, local: Endpoint, remote: Endpoint): Connection | null {
    if (this.#identity === null || !this.pending.admits(now, remote)) return null;
    const connection = new Connection(++this.#lastConnectionId, 'inbound', remote, this.driver, now, this.#outbox);
    connection.local = local;
    const evicted = this.pending.add(now, connection);
    if (evicted !== null) this.#closeStranger(evicted);
    if (this.#tap !== null) this.#tap.opened(now, connection);
    return connection;
  }

  /** A dial succeeded. */
  dialled(now: number, connection: Connection, local: Endpoint): void {
    if (this.#tap !== null) {
      connection.local = local;
      this.#tap.opened(now, connection);
    }
    connection.peer?.links.dialled(now, connection, local);
    if (connection.peer !== null) this.touch(connection.peer);
  }

  /**
   * Bytes arrived: [start, end) of the slab, which begins with what `connection.reader.restore` laid there.
   */
  readable(now: number, connection: Connection, slab: Slab, start: number, end: number): void {
    receiveStream(this, now, connection, slab, start, end);
  }

  /** The kernel took `count` bytes of the run that `connection.outbox.peek` found. */
  written(now: number, connection: Connection, count: number): void {
    if (this.#tap !== null && count > 0) {
      this.#tap.written(now, connection, connection.slab, connection.outbox.runOffset, count);
    }
    connection.written(count, now);
    const peer = connection.peer;
    if (peer === null) return;
    peer.links.written(connection);
    this.touch(peer);
  }

  /** A connection ended, for whatever reason but `Driver.close`. */
  closed(now: number, connection: Connection, reason: CloseReason): void {
    if (connection.state === 'closed') return;
    if (this.#tap !== null) this.#tap.closed(connection, reason);
    const peer = connection.peer;
    if (peer === null) {
      connection.state = 'closed';
      connection.outbox.close();
      this.pending.remove(connection, 'closed-by-stranger');
      return;
    }
    peer.links.closed(now, connection, reason);
    this.touch(peer);
  }

  /**
   * The driver saw that a connection's path is not what it was: another local address would be taken to its peer now, or the way
   * there was gone for a while.
   */
  pathChanged(now: number, connection: Connection): void {
    const { peer } = connection;
    if (peer === null || connection.state === 'closed') return;
    if (peer.transport === 'auto') peer.path.doubted(now);
    peer.links.pathChanged(now);
    this.touch(peer);
  }

  // ---- what happened: UDP

  /** A datagram of `length` bytes at `offset` came in. */
  datagram(now: number, slab: Slab, offset: number, length: number, from: Endpoint): void {
    receiveDatagram(this, now, slab, offset, length, from);
  }

  /** A peer's messages take another transport now. */
  moved(now: number, peer: Peer, why: string): void {
    this.#tap?.moved(now, peer, why);
  }

  // ---- what happened: listeners

  /** The driver listens on another port now, or on TCP too. Peers that know us are told. */
  listening(now: number, port: number, tcp: boolean): void {
    if (port === this.listenPort && tcp === this.listensTcp) return;
    this.listenPort = port;
    this.listensTcp = tcp;
    this.announce(now);
  }

  /** What we announce has changed: peers that know us are told. */
  announce(now: number): void {
    for (const peer of this.peers.values()) peer.control.changed(now);
  }

  // ---- time

  /** When `wake` wants to be called; null when nothing is going on at all. */
  nextWake(): Wake | null {
    this.#settle();
    const first = this.#deadlines.first;
    const sweep = this.pending.nextSweep;
    if (first !== undefined && first.deadline <= sweep) return { at: first.deadline, why: first.whyNext() };
    return sweep === Infinity ? null : { at: sweep, why: 'pending list' };
  }

  /** As `nextWake().at`, without an object: Infinity when there is nothing. */
  nextWakeAt(): number {
    this.#settle();
    return Math.min(this.#deadlines.first?.deadline ?? Infinity, this.pending.nextSweep);
  }

  /** Acts on everything that is due. */
  wake(now: number): void {
    for (const stranger of this.pending.sweep(now)) this.#closeStranger(stranger);
    this.#settle();
    for (;;) {
      const peer = this.#deadlines.first;
      if (peer === undefined || peer.deadline > now) break;
      // Out of the heap first: what the peer still wants is put back by the touch, so each is woken once.
      this.#deadlines.remove(peer);
      peer.wake(now);
    }
    this.#settle();
  }

  /** Something about a peer changed that may move its deadlines. */
  touch(peer: Peer): void {
    if (peer.isTouched) return;
    peer.isTouched = true;
    this.#touched.push(peer);
  }

  #settle(): void {
    for (const peer of this.#touched) {
      peer.isTouched = false;
      this.#deadlines.set(peer, peer.isRemoved ? Infinity : peer.next());
    }
    this.#touched.length = 0;
  }

  // ---- identity and peers

  get hasIdentity(): boolean {
    return this.#identity !== null;
  }

  get identity(): LocalIdentity | null {
    return this.#identity;
  }

  /** Takes a private key, or none. Handshakes under way are forgotten; keypairs are no longer sent under (kernel netlink.c). */
  setPrivateKey(privateKey: Uint8Array | null): void {
    const old = this.#identity;
    this.#identity = privateKey === null ? null : new LocalIdentity(this.crypto, privateKey);
    this.checker.setPublicKey(this.#identity?.publicKey ?? null);
    const own = this.#identity === null ? undefined : this.peers.get(keyText(this.#identity.publicKey));
    if (own !== undefined) this.removePeer(own);
    for (const peer of this.peers.values()) {
      this.forgetHandshake(peer);
      peer.handshake.setLocalIdentity(this.#identity);
      peer.identityChanged();
      this.touch(peer);
    }
    old?.wipe();
  }

  peer(publicKey: Uint8Array): Peer | undefined {
    return this.peers.get(keyText(publicKey));
  }

  addPeer(publicKey: Uint8Array): Peer {
    const peer = new Peer(
      this,
      publicKey.slice(),
      new Handshake(this.crypto, this.#identity, publicKey),
      new KeypairSet((keypair) => this.indices.remove(keypair.localIndex)),
      new CookieJar(this.crypto, publicKey),
    );
    this.peers.set(keyText(publicKey), peer);
    this.#watchDrops(peer);
    this.#timestamps.set(peer, new TimestampSource());
    return peer;
  }

  removePeer(peer: Peer): void {
    this.peers.delete(keyText(peer.publicKey));
    this.allowedIps.removeAll(peer);
    this.#deadlines.remove(peer);
    peer.isRemoved = true;
    peer.close();
  }

  /** The UDP carrier of a peer, made or moved to `to`. */
  datagramTo(peer: Peer, to: Endpoint): DatagramCarrier | null {
    if (this.driver.datagrams === null) return null;
    if (peer.datagram === null) peer.datagram = new DatagramCarrier(peer, this.driver.datagrams, to);
    else peer.datagram.remote = to;
    return peer.datagram;
  }

  // ---- handshake messages, on behalf of peers

  /** An initiation to the peer, MACs included; null when its key is a low-order point, or we have none. */
  makeInitiation(peer: Peer, now: number): Uint8Array | null {
    if (this.#identity === null) return null;
    this.indices.remove(peer.handshake.localIndex);
    const index = this.indices.add(peer);
    const ephemeral = this.#ephemeral(peer);
    const message = peer.handshake.createInitiation(
      ephemeral,
      index,
      this.#timestamps.get(peer)!.next(this.driver.wallTime()),
    );
    wipe(ephemeral);
    if (message === null) this.indices.remove(index);
    else peer.cookies.addMacs(message, now);
    return message;
  }

  /** The response to the initiation that the peer's handshake consumed, MACs included; null when it is not to be answered. */
  makeResponse(peer: Peer, now: number): Uint8Array | null {
    this.indices.remove(peer.handshake.localIndex);
    const index = this.indices.add(peer);
    const ephemeral = this.#ephemeral(peer);
    const message = peer.handshake.createResponse(ephemeral, index);
    wipe(ephemeral);
    if (message === null) this.indices.remove(index);
    else peer.cookies.addMacs(message, now);
    return message;
  }

  forgetHandshake(peer: Peer): void {
    this.indices.remove(peer.handshake.localIndex);
    peer.handshake.clear();
  }

  /** The nonce of a cookie reply, or anything else that must be fresh. */
  randomBytes(length: number): Uint8Array {
    const out = new Uint8Array(length);
    this.driver.random(out);
    return out;
  }

  /** uniform in [0, 1), with 32 bits */
  random01(): number {
    this.driver.random(this.#draw);
    return new DataView(this.#draw.buffer).getUint32(0) / 2 ** 32;
  }

  wallTime(): number {
    return this.driver.wallTime();
  }

  // ---- the whole

  /** Ends all connections and forgets all secrets. Afterwards nothing may be called but `snapshot`. */
  close(): void {
    for (const stranger of this.pending.clear()) this.#closeStranger(stranger);
    for (const peer of [...this.peers.values()]) this.removePeer(peer);
    this.#touched.length = 0;
    this.checker.wipe();
    this.#identity?.wipe();
    this.#identity = null;
  }

  snapshot(now: number): DeviceSnapshot {
    return {
      privateKey: this.#identity?.privateKey.slice() ?? null,
      publicKey: this.#identity?.publicKey.slice() ?? null,
      listenPort: this.listenPort,
      fwmark: this.fwmark,
      transport: this.transport,
      extensions: this.extensions,
      peers: [...this.peers.values()].map((peer) => peer.snapshot(now)),
      pending: this.pending.snapshot(),
      drops: this.drops.snapshot(),
    };
  }

  #open(now: number, remote: Endpoint, links: Links): Connection {
    const connection = new Connection(++this.#lastConnectionId, 'outbound', remote, this.driver, now, this.#outbox);
    connection.peer = links.peer;
    this.driver.dial(connection, remote);
    return connection;
  }

  #closeStranger(connection: Connection): void {
    connection.state = 'closed';
    connection.outbox.close();
    this.#close(connection, false);
  }

  #close(connection: Connection, abort: boolean): void {
    if (this.#tap !== null) this.#tap.closed(connection, null);
    this.driver.close(connection, abort);
  }

  #ephemeral(peer: Peer): Uint8Array {
    const ephemeral = this.randomBytes(KEY_LENGTH);
    const tapped = this.#tap !== null && this.#tap.wantsKeys;
    if ((this.#keyLog !== undefined || tapped) && this.#identity !== null) {
      const lines = keyLogLines(this.#identity.privateKey, peer.publicKey, ephemeral, peer.presharedKey);
      this.#keyLog?.(lines);
      if (tapped) this.#tap!.keys(peer, lines);
    }
    return ephemeral;
  }
}

/** A public key as a map key. */
export function keyText(key: Uint8Array): string {
  // One flat string: put together character by character it would be twenty times the size, as long as nobody looks it up.
  return String.fromCharCode(...key);
}
