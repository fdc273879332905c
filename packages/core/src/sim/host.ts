import type { Endpoint } from '../address/endpoint.js';
import { configure } from '../device/configure.js';
import { Device } from '../device/device.js';
import type { CloseReason, DatagramSink, Driver, PacketSink } from '../device/driver.js';
import type { Peer } from '../device/peer.js';
import type { DeviceSettings } from '../device/settings.js';
import type { Crypto } from '../noise/crypto.js';
import { SlabPool } from '../slab/pool.js';
import { Slab } from '../slab/slab.js';
import type { Connection } from '../stream/connection.js';
import { RECORD_MAX } from '../stream/header.js';
import type { OutboxLimits } from '../stream/outbox.js';
import type { Clock, Event } from './clock.js';
import { endpoint, type Machine } from './machine.js';
import type { Rng } from './rng.js';
import type { Socket, SocketOwner } from './socket.js';
import { Tap, type SentMessages } from './tap.js';
import { Violation } from './violation.js';

/**
 * The simulated driver: a device on a simulated machine.
 *
 * Theory of operation. As with the real drivers, everything that happens enters the device in a turn of its own, at whose end queues are written
 * out, inner packets that the turn gave rise to go in, and the wake-up is set anew. Wake-ups come on whole milliseconds, as timers do, after everything else of
 * that time; with `polls` they come at every millisecond instead, which must make no difference. On the way the driver holds the
 * device to its contract: no call from inside a call, nothing for a connection that was closed, no wake-up that does not get on.
 */
export interface HostOptions {
  readonly name: string;
  readonly crypto: Crypto;
  readonly mtu: number;
  /** bytes of one read, at most; small ones cut records wherever they like */
  readonly readMax: number;
  /** wake everybody each ms, rather than when `nextWake` says */
  readonly polls: boolean;
  /** ms until a lost address is noticed (netlink); Infinity for never */
  readonly noticesAddress: number;
  /** ms that the wall clock is ahead */
  readonly skew: number;
  /** order among hosts that wake at the same time */
  readonly rank: number;
  readonly outbox?: OutboxLimits;
}

/** Takes inner packets that the device delivers. */
export type Deliver = (host: Host, bytes: Uint8Array, offset: number, length: number, from: Peer | null) => void;

/** Wall clock at the simulation's beginning, ms since the Unix epoch. */
const WALL_START = 1_700_000_000_000;
/** What is read from all sockets is laid here. */
const INPUT_SIZE = 2 * RECORD_MAX;
/** Of the send queues, bytes (as in the real drivers). */
const QUEUE_SLAB = 512 * 1024;

// Memory that only matters within a turn, and turns do not overlap: all hosts of all worlds share it, since making it takes longer than
// many a run.
const INPUT = Slab.plain(INPUT_SIZE);
const INNER = Slab.plain(RECORD_MAX);
const DATAGRAM = Slab.plain(RECORD_MAX);
const TUN = Slab.plain(RECORD_MAX + 16);
const SPARE_QUEUES: Slab[] = [];
/** Wake-ups at one moment, after which the device is taken to spin. */
const SPIN_MAX = 50;
// Globals are slow in the contexts that tests run in (clock.ts).
const { ceil, floor, max, min } = Math;

export class Host implements Driver, SocketOwner {
  readonly slabs = new SlabPool(
    QUEUE_SLAB,
    () => SPARE_QUEUES.pop() ?? Slab.plain(QUEUE_SLAB),
    16,
    (slab) => {
      SPARE_QUEUES.push(slab);
    },
  );
  readonly inner: PacketSink;
  readonly datagrams: DatagramSink;
  readonly device: Device;
  readonly machine: Machine;
  readonly options: HostOptions;
  /** of the wall clock, ms */
  skew: number;
  isStopped = false;
  /** calls of `wake` so far */
  wakes = 0;
  /** dials so far, newest last */
  readonly dials: Endpoint[] = [];
  /** called after each turn */
  observe: (host: Host) => void = () => undefined;
  /** called with what was read from a connection, after the device has seen it; `before` tells whether it had an owner then */
  observeInput: ((connection: Connection, bytes: Uint8Array, before: Peer | null) => void) | null = null;

  readonly #clock: Clock;
  readonly #rng: Rng;
  readonly #sent: SentMessages;
  readonly #deliver: Deliver;
  readonly #sockets = new Map<Connection, Socket>();
  readonly #connections = new Map<Socket, Connection>();
  readonly #taps = new Map<Connection, Tap>();
  readonly #flushes: Connection[] = [];
  readonly #outgoing: Uint8Array[] = [];
  #wake: Event | null = null;
  #wakeAt = Infinity;
  #inside = false;
  #spin = 0;
  #spinAt = -1;

  constructor(machine: Machine, rng: Rng, sent: SentMessages, deliver: Deliver, options: HostOptions) {
    this.machine = machine;
    this.options = options;
    this.skew = options.skew;
    this.#clock = machine.network.clock;
    this.#rng = rng;
    this.#sent = sent;
    this.#deliver = deliver;
    this.inner = {
      slab: INNER,
      reserve: () => 0,
      commit: (offset, length, from) => this.#deliver(this, INNER.bytes, offset, length, from),
    };
    this.datagrams = {
      slab: DATAGRAM,
      reserve: () => 0,
      commit: (offset, length, to) => machine.send(DATAGRAM.bytes.slice(offset, offset + length), to),
    };
    this.device = new Device(this, options.crypto, {
      mtu: options.mtu,
      ...(options.outbox === undefined ? {} : { outbox: options.outbox }),
    });
    if (options.polls) this.#poll();
  }

  // ---- what the world does

  start(port: number, settings: DeviceSettings): void {
    this.listen(port);
    this.turn((now) => configure(this.device, now, settings));
  }

  /** Listens there, and nowhere else. */
  listen(port: number): void {
    this.machine.listen(
      port,
      (socket) => this.#accepted(socket),
      (bytes, from) => this.#datagram(bytes, from),
    );
    this.turn((now) => this.device.listening(now, port, true));
  }

  /** Sends an inner packet at the end of the turn, or at once when there is none. */
  packet(bytes: Uint8Array): void {
    this.#outgoing.push(bytes);
    if (!this.#inside) this.turn(() => undefined);
  }

  /** Lets the device do something, and then whatever follows from it. */
  turn(act: (now: number) => void): void {
    if (this.isStopped) return;
    if (this.#inside) throw new Violation('driver contract', `${this.options.name}: a turn within a turn`);
    this.#inside = true;
    const now = this.#clock.now;
    act(now);
    this.#settle(now);
    this.#inside = false;
    this.observe(this);
  }

  /** The address it had is gone: connections from there are of no use, once that is noticed. */
  addressChanged(): void {
    if (this.options.noticesAddress === Infinity) return;
    this.#clock.after(this.options.noticesAddress, () =>
      this.turn((now) => {
        for (const peer of this.device.peers.values()) {
          const { lastDialled } = peer.links;
          const socket = lastDialled === null ? null : this.socketOf(lastDialled);
          if (socket !== null && socket.local.address !== this.machine.address) {
            this.device.pathChanged(now, lastDialled!);
          }
        }
      }),
    );
  }

  /** The device ends in order; nothing may be left of it. */
  stop(): void {
    this.turn(() => this.device.close());
    this.#end();
    this.machine.closeAll();
    const left = [
      [this.slabs.out, 'slabs'],
      [this.#sockets.size, 'connections'],
      [this.device.indices.size, 'indices'],
      [this.device.pending.size, 'pending connections'],
      [this.device.nextWake() === null ? 0 : 1, 'timers'],
    ] as const;
    for (const [count, what] of left) {
      if (count !== 0) throw new Violation('nothing leaks', `${this.options.name}: ${count} ${what} left after close`);
    }
  }

  /** The process dies: its sockets are closed by the system, nothing else is done. */
  die(): void {
    this.#end();
    this.machine.closeAll();
  }

  /** Power fails. */
  crash(): void {
    this.#end();
    this.machine.crash();
  }

  socketOf(connection: Connection): Socket | null {
    return this.#sockets.get(connection) ?? null;
  }

  get connectionCount(): number {
    return this.#sockets.size;
  }

  #end(): void {
    this.isStopped = true;
    this.machine.stopListening();
    this.#clock.cancel(this.#wake);
    for (const tap of this.#taps.values()) tap.end();
    this.slabs.clear();
  }

  // ---- Driver

  random(out: Uint8Array): void {
    this.#rng.fill(out);
  }

  wallTime(): number {
    return WALL_START + this.#clock.now + this.skew;
  }

  dial(connection: Connection, remote: Endpoint): void {
    this.dials.push(remote);
    this.#add(connection, this.machine.connect(remote, this));
  }

  flush(connection: Connection): void {
    this.#known(connection, 'flush');
    this.#flushes.push(connection);
  }

  shutdown(connection: Connection): void {
    this.#known(connection, 'shutdown').shutdown();
  }

  close(connection: Connection, abort: boolean): void {
    const socket = this.#known(connection, 'close');
    this.#remove(connection, socket);
    socket.close(abort);
  }

  #known(connection: Connection, what: string): Socket {
    const socket = this.#sockets.get(connection);
    if (socket === undefined) {
      throw new Violation(
        'driver contract',
        `${this.options.name}: ${what} of connection ${connection.id}, which is gone`,
      );
    }
    return socket;
  }

  #add(connection: Connection, socket: Socket): void {
    this.#sockets.set(connection, socket);
    this.#connections.set(socket, connection);
    this.#taps.set(connection, new Tap(`${this.options.name} connection ${connection.id}`, this.#sent));
  }

  #remove(connection: Connection, socket: Socket): void {
    this.#sockets.delete(connection);
    this.#connections.delete(socket);
    this.#taps.get(connection)!.end();
    this.#taps.delete(connection);
  }

  // ---- SocketOwner

  connected(socket: Socket): void {
    const connection = this.#connections.get(socket)!;
    this.turn((now) => this.device.dialled(now, connection, socket.local));
  }

  readable(socket: Socket): void {
    const connection = this.#connections.get(socket);
    if (connection === undefined) return;
    this.turn((now) => this.#read(now, connection, socket));
  }

  writable(socket: Socket): void {
    const connection = this.#connections.get(socket);
    if (connection === undefined) return;
    this.turn((now) => this.#write(now, connection));
  }

  failed(socket: Socket, reason: CloseReason): void {
    this.turn((now) => this.#closed(now, this.#connections.get(socket)!, socket, reason));
  }

  // ---- events

  #accepted(socket: Socket): SocketOwner | null {
    let accepted = false;
    this.turn((now) => {
      const connection = this.device.accepted(now, socket.local, socket.remote);
      if (connection === null) return;
      accepted = true;
      this.#add(connection, socket);
    });
    return accepted ? this : null;
  }

  #datagram(bytes: Uint8Array, from: Endpoint): void {
    this.turn((now) => {
      INPUT.bytes.set(bytes);
      this.device.datagram(now, INPUT, 0, bytes.length, from);
    });
  }

  #read(now: number, connection: Connection, socket: Socket): void {
    while (connection.wantsInput && this.#sockets.get(connection) === socket && socket.unread > 0) {
      const kept = connection.reader.restore(INPUT.bytes, 0);
      const n = socket.read(INPUT.bytes, kept, min(this.options.readMax, INPUT_SIZE - kept));
      const { peer } = connection;
      this.device.readable(now, connection, INPUT, 0, kept + n);
      this.observeInput?.(connection, INPUT.bytes.subarray(kept, kept + n), peer);
      // What the device kept must be a copy.
      INPUT.bytes.fill(0xdd, 0, kept + n);
    }
    if (this.#sockets.get(connection) === socket && socket.isAtEnd) this.#closed(now, connection, socket, 'eof');
  }

  #closed(now: number, connection: Connection, socket: Socket, reason: CloseReason): void {
    this.#remove(connection, socket);
    socket.close(false);
    this.device.closed(now, connection, reason);
  }

  // ---- turns

  #settle(now: number): void {
    while (this.#flushes.length > 0 || this.#outgoing.length > 0) {
      for (const connection of this.#flushes.splice(0)) {
        connection.flushRequested = false;
        this.#write(now, connection);
      }
      for (const bytes of this.#outgoing.splice(0)) {
        TUN.bytes.set(bytes);
        this.device.packet(now, TUN, 0, bytes.length);
      }
    }
    if (!this.options.polls) this.#setWake(now);
  }

  #write(now: number, connection: Connection): void {
    const socket = this.#sockets.get(connection);
    if (socket === undefined || !socket.isConnected) return;
    const { outbox } = connection;
    while (outbox.peek(now)) {
      const { runOffset, runLength } = outbox;
      const taken = socket.write(outbox.slab.bytes, runOffset, runLength);
      this.#taps.get(connection)!.write(outbox.slab.bytes.subarray(runOffset, runOffset + taken));
      this.device.written(now, connection, taken);
      if (taken < runLength) return;
    }
  }

  #setWake(now: number): void {
    const at = this.device.nextWakeAt();
    if (at === this.#wakeAt && this.#wake !== null && this.#wake.action !== null) return;
    this.#clock.cancel(this.#wake);
    this.#wakeAt = at;
    if (at === Infinity) return;
    this.#wake = this.#clock.at(max(ceil(at), now), () => this.#woken(), 1 + this.options.rank);
  }

  #woken(): void {
    this.#countSpin();
    this.wakes++;
    this.turn((now) => {
      this.device.wake(now);
      if (!this.options.polls) return;
      // Who has announced nothing is looked at all the same: there must be nothing to do.
      for (const peer of this.device.peers.values()) peer.wake(now);
    });
  }

  #countSpin(): void {
    if (this.#spinAt !== this.#clock.now) {
      this.#spinAt = this.#clock.now;
      this.#spin = 0;
    }
    if (++this.#spin > SPIN_MAX) {
      const why = this.device.nextWake()?.why;
      throw new Violation('wake gets on', `${this.options.name} wants to be woken again and again: ${why}`);
    }
  }

  #poll(): void {
    const tick = () => {
      if (this.isStopped) return;
      this.#woken();
      this.#clock.at(floor(this.#clock.now) + 1, tick, 1 + this.options.rank);
    };
    this.#clock.at(ceil(this.#clock.now), tick, 1 + this.options.rank);
  }

  /** The endpoint at which others reach it. */
  get endpoint(): Endpoint {
    return endpoint(this.machine.behind ?? this.machine.address, this.machine.port || this.device.listenPort);
  }
}
