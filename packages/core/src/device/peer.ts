import type { Endpoint } from '../address/endpoint.js';
import { ABILITY_OFFLOAD } from '../control/abilities.js';
import { PeerControl } from '../control/peercontrol.js';
import type { CookieJar } from '../cookie/jar.js';
import { TRANSPORT_HEADER_LENGTH, TRANSPORT_OVERHEAD } from '../messages/constants.js';
import { paddedLength, writeTransportHeader } from '../messages/write.js';
import { KEEPALIVE_TIMEOUT, REJECT_AFTER_TIME, REKEY_AFTER_TIME, REKEY_TIMEOUT } from '../noise/constants.js';
import type { Handshake } from '../noise/handshake.js';
import type { Keypair } from '../noise/keypair.js';
import type { KeypairSet } from '../noise/keypairs.js';
import { offloadPadded } from '../offload/record.js';
import type { Slab } from '../slab/slab.js';
import type { Carrier } from '../stream/carrier.js';
import type { Connection } from '../stream/connection.js';
import { Links, type LinksOwner } from '../stream/links.js';
import { RecordKind } from '../stream/outbox.js';
import type { DatagramCarrier } from './datagram.js';
import type { Scheduled } from './deadlines.js';
import type { Device } from './device.js';
import { KeyDoubt } from './doubt.js';
import { DropCounters } from './drops.js';
import { Initiations } from './initiations.js';
import { PathChoice } from './path.js';
import { PeerEndpoint } from './peerendpoint.js';
import type { PeerSnapshot } from './snapshot.js';
import type { Transport } from './settings.js';
import { StagedQueue } from './staged.js';
import { HANDSHAKE_ATTEMPTS_MAX, PeerTimers } from './timers.js';

/**
 * One peer: its keys, its timers, its carriers, and what is sent to it. (What is received from it begins in receive.ts.)
 *
 * Theory of operation. An inner packet is sealed straight into the carrier's slab when there are a live keypair and a carrier;
 * otherwise it is staged, and a handshake or a dial is begun. Handshakes follow the paper (§6) and the kernel's timers.c. TCP adds three
 * rules, all of them about new connections: something is said on one at once; an initiation that goes unanswered on a fresh one is
 * repeated once after a second, because the kernel TCP module throws its first answer away; and handshakes that stay unanswered make the
 * connection suspect, so that a new one is dialled beside it.
 */

/**
 * An initiation that was answered with a cookie is repeated with it after this, ms. The paper leaves it to the retry timer (§6.6, 5 s), so that a
 * peer under load is not hurried; once per cookie, that is one message in two minutes, it can be sooner, and who has a cookie connects within seconds.
 */
const COOKIE_REPEAT = 1_000;

const NOTHING = new Uint8Array(0);

export class Peer implements Scheduled, LinksOwner {
  // Scheduled
  deadline = Infinity;
  heapIndex = -1;
  /** whether the device has yet to look at this peer's deadlines again */
  isTouched = false;
  isRemoved = false;

  readonly timers: PeerTimers;
  readonly links: Links;
  readonly staged = new StagedQueue();
  readonly drops = new DropCounters();
  readonly endpoint = new PeerEndpoint();
  /** whether data waits because the peer may have lost its keys (over TCP, where connections tell) */
  readonly doubt = new KeyDoubt();
  /** when a handshake may be begun, and which stands of two that crossed */
  readonly initiations = new Initiations(this);
  datagram: DatagramCarrier | null = null;
  /** what the peer says of itself, and what it is told of us */
  readonly control = new PeerControl(this);
  /** which transport carries it, where that is left to us */
  readonly path = new PathChoice(this);
  presharedKey: Uint8Array | null = null;
  /** the peer's own choice; null for the device's */
  ownTransport: Transport | null = null;
  /** whether it gets control messages; null as the device says */
  ownExtensions: boolean | null = null;

  rxBytes = 0;
  txBytes = 0;
  /** wall clock, ms; 0 before the first */
  lastHandshake = 0;

  constructor(
    readonly device: Device,
    readonly publicKey: Uint8Array,
    readonly handshake: Handshake,
    readonly keypairs: KeypairSet,
    readonly cookies: CookieJar,
  ) {
    const random = () => device.random01();
    this.timers = new PeerTimers(random);
    this.links = new Links(this, this, device.linksHost);
  }

  get transport(): Transport {
    return this.ownTransport ?? this.device.transport;
  }

  get extensions(): boolean {
    return this.ownExtensions ?? this.device.extensions;
  }

  /** Where messages go now; null when there is no path. */
  get carrier(): Carrier | null {
    const { transport } = this;
    if (transport === 'udp') return this.datagram;
    if (transport === 'tcp' || this.path.current === 'tcp') return this.links.active;
    return this.datagram ?? this.links.active;
  }

  // ---- sending

  /**
   * Sends an inner packet: `length` bytes at `offset`. Up to 15 bytes behind them may be overwritten with padding.
   */
  send(now: number, slab: Slab, offset: number, length: number): void {
    const keypair = this.keypairs.current;
    const carrier = this.carrier;
    const waits = carrier === null || keypair === null || !keypair.canSend(now) || !this.staged.isEmpty;
    if (waits || now < this.doubt.until) {
      const overflow = this.staged.push(slab.bytes, offset, length);
      if (overflow > 0) this.drops.count('staged-overflow', overflow);
      this.sendStaged(now);
      return;
    }
    const padded = paddedLength(length, this.device.mtu);
    const room = this.#reserve(carrier, padded, slab.bytes, offset, length);
    if (room < 0) return;
    for (let i = offset + length; i < offset + padded; i++) slab.bytes[i] = 0;
    this.#seal(now, keypair, carrier, slab, offset, length, padded, room);
  }

  /** Sends what is staged, as far as a keypair and a carrier are there; begins what is missing. */
  sendStaged(now: number): void {
    this.device.touch(this);
    while (!this.staged.isEmpty) {
      const keypair = this.keypairs.current;
      const carrier = this.carrier;
      if (keypair === null || !keypair.canSend(now)) return this.initiate(now);
      if (carrier === null) return this.#wantCarrier(now);
      if (now < this.doubt.until) return;
      const packet = this.staged.shift()!;
      const padded = paddedLength(packet.length, this.device.mtu);
      const room = this.#reserve(carrier, padded, packet, 0, packet.length);
      if (room < 0) continue;
      const at = room + TRANSPORT_HEADER_LENGTH;
      carrier.slab.bytes.set(packet, at);
      carrier.slab.bytes.fill(0, at + packet.length, at + padded);
      this.#seal(now, keypair, carrier, carrier.slab, at, packet.length, padded, room);
    }
  }

  /** Sends a keepalive, or what is staged instead of one. */
  sendKeepalive(now: number): void {
    if (this.staged.isEmpty) this.staged.push(NOTHING, 0, 0);
    this.sendStaged(now);
  }

  /**
   * Sends a plaintext that is no packet (control/) under the present keys, on `carrier`. For the timers it is a keepalive.
   * @param length at least the plaintext's; the rest is zeros
   * @returns false when there were no keys or no room
   */
  sendExtension(now: number, carrier: Carrier, plaintext: Uint8Array, length: number): boolean {
    const keypair = this.keypairs.current;
    if (keypair === null || !keypair.canSend(now)) return false;
    const padded = paddedLength(length, this.device.mtu);
    const room = carrier.reserve(padded + TRANSPORT_OVERHEAD);
    if (room < 0) return false;
    const at = room + TRANSPORT_HEADER_LENGTH;
    carrier.slab.bytes.set(plaintext, at);
    carrier.slab.bytes.fill(0, at + plaintext.length, at + padded);
    this.#seal(now, keypair, carrier, carrier.slab, at, 0, padded, room);
    return true;
  }

  /**
   * Whether a super-packet of `length` bytes, virtio-net header included, may go to the peer as one message now: it has said so under the keypair that is used, nothing
   * waits that has to go before it, and over UDP it is no longer than a full packet's message: a longer datagram would be cut
   * up on the way, and be lost with the first piece that is. Nor where the path is what holds everything up: there a long message saves nothing that is scarce,
   * what is behind it waits for longer, and to drop it is to drop forty packets in a row.
   */
  takesOffload(now: number, length: number): boolean {
    if ((this.control.abilities & ABILITY_OFFLOAD) === 0 || !this.staged.isEmpty || now < this.doubt.until)
      return false;
    const { carrier } = this;
    if (carrier === null || !this.keypairs.current!.canSend(now)) return false;
    if (carrier.transport === 'tcp') return !(carrier as Connection).outbox.isLong;
    return offloadPadded(length) <= this.device.mtu;
  }

  /** Sends an offload record, as `takesOffload` allowed. Up to 15 bytes behind it may be overwritten with padding. */
  sendOffload(now: number, slab: Slab, offset: number, length: number): void {
    const keypair = this.keypairs.current!;
    const carrier = this.carrier!;
    const padded = offloadPadded(length);
    const room = carrier.reserve(padded + TRANSPORT_OVERHEAD);
    if (room < 0) {
      this.drops.count('carrier-full');
      return;
    }
    for (let i = offset + length; i < offset + padded; i++) slab.bytes[i] = 0;
    this.#seal(now, keypair, carrier, slab, offset, length, padded, room);
  }

  #reserve(carrier: Carrier, padded: number, packet: Uint8Array, offset: number, length: number): number {
    const messageLength = padded + TRANSPORT_OVERHEAD;
    let room: number;
    // More fragments, or an offset: the record says so (DESIGN 3).
    if (length >= 20 && packet[offset]! >> 4 === 4 && ((packet[offset + 6]! & 0x3f) | packet[offset + 7]!) !== 0) {
      const identification = (packet[offset + 4]! << 8) | packet[offset + 5]!;
      const fragment = (packet[offset + 6]! << 8) | packet[offset + 7]!;
      room = carrier.reserve(messageLength, identification, fragment);
    } else {
      room = carrier.reserve(messageLength);
    }
    if (room < 0) this.drops.count('carrier-full');
    return room;
  }

  #seal(
    now: number,
    keypair: Keypair,
    carrier: Carrier,
    slab: Slab,
    offset: number,
    length: number,
    padded: number,
    room: number,
  ): void {
    const target = carrier.slab;
    keypair.nextCounter();
    const { counterHi, counterLo } = keypair;
    keypair.send.seal(counterHi, counterLo, slab, offset, padded, target, room + TRANSPORT_HEADER_LENGTH);
    writeTransportHeader(target.bytes, room, keypair.remoteIndex, counterHi, counterLo);
    carrier.commit(length === 0 ? RecordKind.control : RecordKind.data, now);
    this.txBytes += padded + TRANSPORT_OVERHEAD;
    if (length > 0) {
      this.timers.dataSent(now);
      if (carrier.transport === 'udp' && this.transport === 'auto') this.path.sent(now);
    }
    this.timers.anySent();
    this.timers.anyTraversal(now);
    this.device.touch(this);
    // Keeping the key fresh (paper §6.2, kernel send.c keep_key_fresh).
    if (keypair.wantsRekeyAfterSending || (keypair.isInitiator && now >= keypair.birth + REKEY_AFTER_TIME))
      this.initiate(now);
  }

  // ---- handshakes

  /** Begins a handshake, unless one was begun or answered within the last 5 s. @param retry by the retry timer, which keeps its count */
  initiate(now: number, retry = false): void {
    if (!this.handshake.isPossible || !this.device.hasIdentity) return;
    if (!retry) this.timers.attempts = 0;
    this.device.touch(this);
    if (this.transport === 'auto' && !this.hasSession(now)) this.path.beginning(now);
    const carrier = this.#handshakeCarrier(retry);
    if (carrier === null) return this.#wantCarrier(now);
    const { notBefore } = this.initiations;
    if (now >= notBefore) this.#sendInitiation(now, carrier);
    // Whatever waits for keys must not wait for the next packet to ask for them again.
    else if (this.timers.retryHandshake === Infinity && !this.hasSession(now)) this.timers.retryHandshake = notBefore;
  }

  /** Where an initiation goes out. Where both transports are open to it, repetitions alternate between them. */
  #handshakeCarrier(retry: boolean): Carrier | null {
    const { carrier } = this;
    if (!retry || this.transport !== 'auto') return carrier;
    const onUdp = this.path.current === 'udp';
    const other = onUdp ? this.links.active : this.datagram;
    if (carrier === null) return other;
    return other !== null && this.timers.attempts % 2 === (onUdp ? 1 : 0) ? other : carrier;
  }

  /** No path: dials, and lets the retry timer run so that trying ends some time. */
  #wantCarrier(now: number): void {
    if (this.transport === 'tcp' || (this.transport === 'auto' && this.path.current === 'tcp')) this.links.want(now);
    if (this.carrier === null && this.timers.retryHandshake === Infinity) this.timers.initiationSent(now);
  }

  /** Whether there are keys to send under: then the peer is known to be there, and is waited for when it has to dial us. */
  hasSession(now: number): boolean {
    return this.keypairs.current?.canSend(now) === true;
  }

  /**
   * Our own key is another one: what was sent or answered under the old one holds nothing up, and a packet that comes now has new keys
   * within a round trip (kernel noise.c, wg_noise_expire_current_peer_keypairs).
   */
  identityChanged(): void {
    this.keypairs.expire();
    this.doubt.end();
    this.initiations.forget();
  }

  /** An initiation on this connection, now or as soon as the spacing allows. */
  initiateOn(now: number, connection: Connection): void {
    if (!this.handshake.isPossible || !this.device.hasIdentity) return;
    const { spacedUntil } = this.initiations;
    if (now >= spacedUntil) this.#sendInitiation(now, connection);
    else this.initiations.defer(connection, spacedUntil);
  }

  /** A handshake there, whatever the path is; where there is none to begin now, another occasion will come. */
  initiateOver(now: number, carrier: Carrier): void {
    if (!this.handshake.isPossible || !this.device.hasIdentity) return;
    if (now >= this.initiations.spacedUntil) this.#sendInitiation(now, carrier);
  }

  #sendInitiation(now: number, carrier: Carrier): void {
    const anew = this.initiations.isAnew(now);
    const message = this.device.makeInitiation(this, now);
    if (message === null) return;
    this.timers.initiationSent(now);
    if (!this.sendControl(now, carrier, message)) return;
    if (this.transport === 'auto') this.path.initiated(now, carrier);
    if (this.initiations.sent(now, carrier, anew)) this.links.suspect(now);
  }

  /** Sends a handshake message or cookie reply. @returns false when the carrier had no room */
  sendControl(now: number, carrier: Carrier, message: Uint8Array): boolean {
    const room = carrier.reserve(message.length);
    if (room < 0) return false;
    carrier.slab.bytes.set(message, room);
    carrier.commit(RecordKind.control, now);
    this.txBytes += message.length;
    this.timers.anySent();
    this.timers.anyTraversal(now);
    this.device.touch(this);
    return true;
  }

  /** The peer is under load and gave us the first cookie for a while: our initiation, without one, was not looked at. */
  cookieReceived(now: number): void {
    if (this.handshake.state !== 'initiationCreated') return;
    this.timers.retryHandshake = Math.min(this.timers.retryHandshake, now + COOKIE_REPEAT);
    this.initiations.notBefore = this.timers.retryHandshake;
    this.device.touch(this);
  }

  /** New keys, by either role. */
  sessionDerived(now: number, responded: boolean): void {
    this.initiations.sessionDerived(now, responded);
    this.timers.sessionDerived(now);
    this.device.touch(this);
  }

  /** A handshake is complete at this end: the response verified, or the first data under the new keys did. */
  handshakeCompleted(now: number, carrier: Carrier | null): void {
    this.doubt.end();
    this.timers.handshakeComplete();
    this.lastHandshake = this.device.wallTime();
    this.initiations.completed();
    if (carrier?.transport === 'tcp') this.links.handshakeCompleted(now, carrier as Connection);
    if (carrier !== null && this.transport === 'auto') this.path.completed(now, carrier);
    this.device.touch(this);
  }

  /** Near the end of a keypair that we initiated, receiving alone starts one handshake (kernel receive.c keep_key_fresh). */
  keepFreshReceiving(now: number): void {
    const keypair = this.keypairs.current;
    if (keypair === null || !keypair.isInitiator || this.timers.sentLastMinuteHandshake) return;
    if (now < keypair.birth + REJECT_AFTER_TIME - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT) return;
    this.timers.sentLastMinuteHandshake = true;
    this.initiate(now);
  }

  // ---- links

  /** @see LinksOwner */
  wantsLink(now: number): boolean {
    if (this.transport === 'udp' || !this.device.hasIdentity) return false;
    if (this.transport === 'auto' && this.path.current === 'udp' && !this.path.isRacing) return false;
    return (
      !this.staged.isEmpty ||
      this.timers.persistentInterval > 0 ||
      this.timers.retryHandshake !== Infinity ||
      this.hasSession(now)
    );
  }

  get canDial(): boolean {
    return this.endpoint.configured !== null;
  }

  get hasAlternative(): boolean {
    return this.endpoint.hasAlternative;
  }

  dialTarget(): Endpoint | null {
    return this.endpoint.nextDialTarget();
  }

  get leads(): boolean {
    return this.keypairs.current?.isInitiator ?? true;
  }

  greet(now: number, connection: Connection, anew: boolean, takesOver: boolean): void {
    const keypair = this.keypairs.current;
    const live = keypair !== null && keypair.canSend(now);
    if (live) this.#keepaliveOn(now, keypair, connection);
    // Where it is to be seen whether TCP carries, a handshake on it says so to both ends.
    const moves = this.transport === 'auto' && this.path.current === 'udp';
    if (!live || anew || moves) this.initiateOn(now, connection);
    if (live && anew && takesOver) this.doubt.redialled(now, connection);
  }

  /** @see LinksOwner. Without keys the greeting has begun a handshake; to begin another would count as asking for it anew, for ever. */
  linked(now: number): void {
    if (!this.hasSession(now)) return;
    this.sendStaged(now);
    this.control.announce(now);
  }

  #keepaliveOn(now: number, keypair: Keypair, connection: Connection): void {
    const room = connection.reserve(TRANSPORT_OVERHEAD);
    if (room < 0) return;
    this.#seal(now, keypair, connection, connection.slab, room + TRANSPORT_HEADER_LENGTH, 0, 0, room);
  }

  // ---- time

  /** When `wake` wants to be called. */
  next(): number {
    if (this.transport === 'udp') return Math.min(this.#ownNext(), this.control.next());
    return Math.min(this.#ownNext(), this.control.next(), this.links.next(), this.path.next());
  }

  #ownNext(): number {
    return Math.min(this.timers.next(), this.initiations.deferredAt, this.doubt.endsAt);
  }

  /** What `next` is for, for people and logs. */
  whyNext(): string {
    const at = this.next();
    if (at === this.initiations.deferredAt) return 'initiation on a fresh connection';
    if (at === this.doubt.endsAt) return 'data that waits for keys';
    if (at === this.control.next()) return 'announcement';
    if (at === this.path.next()) return 'choice of transport';
    if (at === this.links.next()) return 'dial or connection deadline';
    return 'peer timer';
  }

  wake(now: number): void {
    if (now >= this.initiations.deferredAt) {
      const connection = this.initiations.takeDeferred();
      if (connection !== null) this.#sendInitiation(now, connection);
    }
    if (now >= this.doubt.endsAt) {
      this.doubt.end();
      this.sendStaged(now);
    }
    this.control.wake(now);
    for (let due = this.timers.expired(now); due !== null; due = this.timers.expired(now)) {
      if (due === 'retry-handshake') this.#retryHandshake(now);
      else if (due === 'send-keepalive') this.sendKeepalive(now);
      else if (due === 'new-handshake') this.#nothingCameBack(now);
      else if (due === 'persistent-keepalive') this.#persistentKeepalive(now);
      else this.wipeKeys();
    }
    if (this.transport !== 'udp') this.links.wake(now);
    if (this.transport === 'auto') this.path.wake(now);
    this.device.touch(this);
  }

  #retryHandshake(now: number): void {
    if (this.timers.attempts > HANDSHAKE_ATTEMPTS_MAX) {
      this.timers.gaveUp(now);
      this.path.gaveUp();
      const lost = this.staged.clear();
      if (lost > 0) this.drops.count('handshake-gave-up', lost);
      return;
    }
    this.timers.attempts++;
    if (this.handshake.state !== 'initiationCreated' && this.hasSession(now)) {
      // It ran for want of a carrier, not of a handshake.
      if (this.carrier !== null) this.timers.attempts = 0;
      return this.sendStaged(now);
    }
    this.initiate(now, true);
  }

  /** 15 s after data went out and nothing came back (paper §6.5). */
  #nothingCameBack(now: number): void {
    if (this.transport === 'auto') this.path.doubted(now);
    if (this.carrier?.transport === 'tcp' || this.transport === 'tcp') this.links.suspect(now);
    this.initiate(now);
  }

  #persistentKeepalive(now: number): void {
    if (this.timers.persistentInterval > 0) {
      this.timers.anyTraversal(now);
      this.sendKeepalive(now);
    }
  }

  wipeKeys(): void {
    this.device.forgetHandshake(this);
    this.control.clear();
    this.path.clear();
    this.keypairs.clear();
  }

  /** The peer is removed, or the device closed. */
  close(): void {
    this.links.close();
    this.timers.clear();
    this.initiations.takeDeferred();
    this.doubt.end();
    this.staged.clear();
    this.wipeKeys();
    this.handshake.destroy();
  }

  /**
   * What is shown, and saved: where the peer is, over TCP with the port at which it can be dialled where one is configured; a port that the peer dialled
   * from would be of no use to whoever configures it again (KERNEL.md row 17). The connections' own addresses are told with them.
   */
  #shownEndpoint(): Endpoint | null {
    const { configured, shown } = this.endpoint;
    if (this.transport === 'udp') return shown;
    if (this.transport === 'auto' && this.path.current === 'udp') return this.datagram?.remote ?? shown;
    const heard = this.links.active?.remote ?? shown;
    return heard === null || configured === null ? heard : { ...heard, port: configured.port };
  }

  snapshot(now: number): PeerSnapshot {
    const active = this.links.active;
    return {
      publicKey: this.publicKey.slice(),
      presharedKey: this.presharedKey?.slice() ?? null,
      endpoint: this.#shownEndpoint(),
      allowedIps: this.device.allowedIps.list(this),
      lastHandshake: this.lastHandshake,
      rxBytes: this.rxBytes,
      // What no socket took was not sent (kernel socket.c: wg_socket_send_skb_to_peer).
      txBytes: this.txBytes - (this.datagram?.unsentBytes ?? 0),
      persistentKeepalive: this.timers.persistentInterval,
      transport: this.transport,
      extensions: this.extensions,
      ...this.control.snapshot(),
      ...(this.transport === 'auto' ? { path: this.path.snapshot() } : {}),
      connections: this.links.all.map((connection) => connection.snapshot(now, connection === active)),
      ended: { ...this.links.ended },
      drops: this.drops.snapshot(),
    };
  }
}
