import { parsePrefix } from '../address/ip.js';
import { configure } from '../device/configure.js';
import type { Device } from '../device/device.js';
import type { Peer } from '../device/peer.js';
import type { PeerSettings, Transport } from '../device/settings.js';
import type { Crypto } from '../noise/crypto.js';
import type { Connection } from '../stream/connection.js';
import { Clock } from './clock.js';
import { Host, type HostOptions } from './host.js';
import { checkInvariants } from './invariants.js';
import { LANE_OPTIONS, type Damage, type Lane, type LaneOptions, type LaneState } from './lane.js';
import { endpoint, type Machine } from './machine.js';
import { Network } from './network.js';
import { PING_MIN, readPing, writePing } from './packets.js';
import { Rng } from './rng.js';
import { SOCKET_OPTIONS, type SocketOptions } from './socket.js';
import { StateLog } from './states.js';
import { Stranger } from './stranger.js';
import type { SentMessages } from './tap.js';
import { Violation } from './violation.js';

/**
 * A simulated world: hosts with devices, all peers of each other, on one network and one virtual clock.
 *
 * Theory of operation. Everything that happens follows from the seed. Each ping carries its number, so that for each packet it is known whether it
 * came never, once or twice, and a packet that nobody sent is recognised. After each turn of a host the invariants that hold at all times are
 * checked; a broken one is thrown as a Violation.
 */
export interface WorldOptions {
  readonly seed: number;
  readonly crypto: Crypto;
  /** default 2 */
  readonly hosts?: number;
  readonly lane?: Partial<LaneOptions>;
  readonly socket?: Partial<SocketOptions>;
  readonly host?: Partial<HostOptions>;
  readonly transport?: Transport;
  /** whether host `from` is told where host `to` is; default: all are */
  readonly knows?: (from: number, to: number) => boolean;
  /** of persistent keepalives, seconds; default 0 */
  readonly keepalive?: (host: number) => number;
}

/** One echo request and its reply. */
export interface Ping {
  readonly id: number;
  readonly from: number;
  readonly to: number;
  readonly sentAt: number;
  /** Infinity while it has not come */
  arrivedAt: number;
  repliedAt: number;
}

const PORT = 51820;
const MTU = 1420;

export class World {
  readonly clock = new Clock();
  readonly rng: Rng;
  readonly network: Network;
  readonly hosts: Host[] = [];
  readonly pings: Ping[] = [];
  readonly states = new StateLog();
  readonly strangers: Stranger[] = [];
  readonly options: WorldOptions;
  /** called for each host that is started (again) later */
  onStart: (host: Host) => void = () => undefined;
  readonly #machines: Machine[] = [];
  readonly #keys: Uint8Array[] = [];
  readonly #publicKeys: Uint8Array[] = [];
  /** by host number; looked up for each packet */
  readonly #peers = new WeakMap<Device, (Peer | undefined)[]>();
  readonly #newestReplies = new Map<number, number>();
  readonly #sent: SentMessages = new Set();
  readonly #hostRng: Rng;
  /** that hosts listen on or did */
  readonly #ports = new Set([PORT]);
  #addresses = 0;

  constructor(options: WorldOptions) {
    this.options = options;
    this.rng = new Rng(options.seed);
    this.network = new Network(this.clock, this.rng.fork(), { ...LANE_OPTIONS, ...options.lane });
    this.#hostRng = this.rng.fork();
    // Clocks do not begin at zero, and their times are no whole numbers.
    this.clock.now = 1_000_000.25;
    const count = options.hosts ?? 2;
    for (let i = 0; i < count; i++) {
      const key = new Uint8Array(32);
      this.rng.fill(key);
      this.#keys.push(key);
      this.#publicKeys.push(options.crypto.publicKey(key));
      const machine = this.network.machine(this.newAddress());
      machine.socketOptions = { ...SOCKET_OPTIONS, ...options.socket };
      this.#machines.push(machine);
    }
    for (let i = 0; i < count; i++) this.start(i, 0);
  }

  get now(): number {
    return this.clock.now;
  }

  host(i: number): Host {
    return this.hosts[i]!;
  }

  machine(i: number): Machine {
    return this.#machines[i]!;
  }

  peer(host: number, of: number): Peer {
    const { device } = this.host(host);
    let peers = this.#peers.get(device);
    if (peers === undefined) {
      peers = this.#publicKeys.map((key) => device.peer(key));
      this.#peers.set(device, peers);
    }
    return peers[of]!;
  }

  publicKey(i: number): Uint8Array {
    return this.#publicKeys[i]!;
  }

  // ---- packets

  /** An echo request goes into `from`'s tunnel; `to` answers it as an operating system does. */
  ping(from: number, to: number, size = 84, fragment = false): Ping {
    const ping = { id: this.pings.length, from, to, sentAt: this.now, arrivedAt: Infinity, repliedAt: Infinity };
    this.pings.push(ping);
    const bytes = new Uint8Array(Math.max(size, PING_MIN));
    writePing(bytes, 0, { id: ping.id, isReply: false, from, to }, bytes.length, fragment);
    this.host(from).packet(bytes);
    return ping;
  }

  /** Pings at an interval, ms. @returns what ends them early */
  pingEvery(interval: number, from: number, to: number, count: number, size = 84): () => void {
    let left = count;
    const next = () => {
      if (left-- <= 0) return;
      if (!this.host(from).isStopped) this.ping(from, to, size);
      this.clock.after(interval, next);
    };
    this.clock.after(0, next);
    return () => {
      left = 0;
    };
  }

  /** The newest ping of `from`’s to `to` that was replied to; -1 when none was. */
  newestReply(from: number, to: number): number {
    return this.#newestReplies.get(from * 256 + to) ?? -1;
  }

  #delivered(host: Host, bytes: Uint8Array, offset: number, length: number, from: Peer | null): void {
    const ping = readPing(bytes, offset, length);
    const record = ping === null ? undefined : this.pings[ping.id];
    const at = this.hosts.indexOf(host);
    const expected =
      record !== undefined &&
      ping !== null &&
      ping.to === at &&
      ping.from === (ping.isReply ? record.to : record.from) &&
      ping.to === (ping.isReply ? record.from : record.to) &&
      from === this.peer(at, ping.from) &&
      (!ping.isReply || record.arrivedAt !== Infinity);
    if (!expected) throw new Violation('nothing invented', `${host.options.name} got a packet that nobody sent to it`);
    const before = ping.isReply ? record.repliedAt : record.arrivedAt;
    if (before !== Infinity) throw new Violation('nothing twice', `${host.options.name} got ping ${ping.id} twice`);
    if (ping.isReply) {
      record.repliedAt = this.now;
      const pair = record.from * 256 + record.to;
      this.#newestReplies.set(pair, Math.max(record.id, this.#newestReplies.get(pair) ?? -1));
      return;
    }
    record.arrivedAt = this.now;
    const reply = new Uint8Array(length);
    writePing(reply, 0, { id: ping.id, isReply: true, from: ping.to, to: ping.from }, length);
    host.packet(reply);
  }

  // ---- time

  run(ms: number): void {
    this.clock.runUntil(this.now + ms);
  }

  /** @returns whether it was so within `ms` */
  runUntil(ms: number, done: () => boolean): boolean {
    return this.clock.runUntilDone(this.now + ms, done);
  }

  // ---- what happens to the network

  lane(from: number, to: number): Lane {
    return this.network.lane(this.machine(from), this.machine(to));
  }

  /** Both directions between two hosts. */
  link(a: number, b: number, state: LaneState): void {
    this.lane(a, b).set(state);
    this.lane(b, a).set(state);
  }

  damage(from: number, to: number, damage: Damage): void {
    this.lane(from, to).damage.push(damage);
  }

  /** Everything carries again, and every host listens. Addresses and translations stay as they have become. */
  heal(): void {
    for (const lane of this.network.lanes()) {
      lane.set('up');
      lane.damage.length = 0;
    }
    for (const machine of this.#machines) machine.listener = 'open';
  }

  /** Another address, from now on. Peers learn of it only from what comes from there. */
  changeAddress(host: number): void {
    this.machine(host).address = this.newAddress();
    this.host(host).addressChanged();
  }

  /** Puts a host behind an address translation, or gives it a new one. */
  translate(host: number, newAddress: boolean): void {
    const machine = this.machine(host);
    if (machine.behind === null || newAddress) machine.behind = this.newAddress();
    machine.translation++;
  }

  /** Kills a connection as `ss -K` does. */
  kill(host: number, connection: Connection | null): void {
    const socket = connection === null ? null : this.host(host).socketOf(connection);
    if (socket !== null) this.machine(host).kill(socket);
  }

  // ---- what happens to hosts

  /** Starts a host, or starts it again: with its keys, but without anything that it had learned. */
  start(i: number, skew: number): Host {
    const { options } = this;
    const host = new Host(this.machine(i), this.#hostRng.fork(), this.#sent, (...args) => this.#delivered(...args), {
      name: `host ${i}`,
      crypto: options.crypto,
      mtu: MTU,
      readMax: 65_536,
      polls: false,
      noticesAddress: Infinity,
      skew,
      rank: i,
      ...options.host,
    });
    host.skew = skew;
    host.observe = () => {
      this.states.observe(host);
      checkInvariants(host, this.#ports);
    };
    this.hosts[i] = host;
    this.machine(i).isUp = true;
    const peers: PeerSettings[] = [];
    for (let j = 0; j < this.#keys.length; j++) {
      if (j === i) continue;
      const knows = options.knows?.(i, j) ?? true;
      peers.push({
        publicKey: this.publicKey(j),
        allowedIps: [{ prefix: parsePrefix(`10.0.0.${j + 1}/32`)! }],
        persistentKeepalive: options.keepalive?.(i) ?? 0,
        ...(knows ? { endpoint: endpoint(this.#machines[j]!.address, PORT) } : {}),
      });
    }
    this.onStart(host);
    host.start(PORT, { privateKey: this.#keys[i]!, transport: options.transport ?? 'tcp', peers });
    return host;
  }

  /** A host listens on another port from now on, and on no other; connections that are there stay. */
  moveListener(host: number, port: number): void {
    this.#ports.add(port);
    this.host(host).listen(port);
  }

  /** Datagrams between two hosts are dropped from now on if they are longer, bytes; below 0: all. */
  limitDatagrams(a: number, b: number, most: number): void {
    this.lane(a, b).datagramMax = this.lane(b, a).datagramMax = most;
  }

  /** Tells `host` (again) where `of` is now. */
  configureEndpoint(host: number, of: number): void {
    const peers = [
      { publicKey: this.publicKey(of), endpoint: endpoint(this.machine(of).address, PORT), allowedIps: [] },
    ];
    this.host(host).turn((now) => configure(this.host(host).device, now, { peers }));
  }

  /** The process ends without a word of its own, and the system closes its sockets. */
  kill9(i: number): void {
    this.host(i).die();
  }

  /** Power fails; whoever sends to it hears nothing until it is up again. */
  crash(i: number): void {
    this.host(i).crash();
    this.machine(i).isUp = false;
  }

  stranger(to: number, address = this.newAddress()): Stranger {
    const existing = this.network.machineAt(address);
    const machine = existing ?? this.network.machine(address);
    const stranger = new Stranger(machine, endpoint(this.machine(to).behind ?? this.machine(to).address, PORT));
    this.strangers.push(stranger);
    return stranger;
  }

  /** Ends all devices; each checks that nothing is left. */
  stop(): void {
    for (const host of this.hosts) if (!host.isStopped) host.stop();
  }

  /** One that nobody has. */
  newAddress(): string {
    this.#addresses++;
    return `192.0.${this.#addresses >> 8}.${this.#addresses & 255}`;
  }
}
