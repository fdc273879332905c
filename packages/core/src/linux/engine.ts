import { randomFillSync } from 'node:crypto';
import type { Endpoint } from '../address/endpoint.js';
import { Captures, wallOffset } from '../capture/live/captures.js';
import type { TapOptions } from '../capture/live/encoder.js';
import { configure } from '../device/configure.js';
import { Device } from '../device/device.js';
import type { Driver } from '../device/driver.js';
import type { DeviceSettings, Transport } from '../device/settings.js';
import type { DeviceSnapshot, InterfaceSnapshot } from '../device/snapshot.js';
import type { Crypto } from '../noise/crypto.js';
import type { Connection } from '../stream/connection.js';
import { Epoll, EPOLLIN } from './epoll.js';
import { EAGAIN } from './errno.js';
import { drainEventFd } from './eventfd.js';
import { InterfaceWatch } from './interfacewatch.js';
import { Listeners } from './listeners.js';
import { nativeSlabPool } from './nativeslab.js';
import { PathWatch } from './pathwatch.js';
import { drainRouteWatch } from './routewatch.js';
import { close } from './syscalls.js';
import { TcpSockets } from './tcpsockets.js';
import { tunGone, type Tun } from './tun.js';
import { TunInput } from './tuninput.js';
import { TunOutput } from './tunoutput.js';
import { UdpSockets } from './udpsockets.js';
import { UNREACHABLE_MAX, writeUnreachable } from './unreachable.js';
import type { Slab } from '../slab/slab.js';

/**
 * The Linux driver: an epoll loop around the core.
 *
 * Theory of operation. One thread owns everything here: the TUN, the sockets, the device. A turn waits for events until the device's next
 * wake, hands each event to the device with the time at which the wait ended, and then writes what they led to: opened packets to
 * the TUN, records to the connections, datagrams to the UDP sockets. All descriptors are level-triggered and every reader has a
 * budget, so no source of events can keep the others from their turn.
 *
 * What goes out during a long read from the TUN is written as soon as there is a socket's worth of it, so that the network works while
 * the next packets are sealed.
 *
 * Another thread that wants something signals an eventfd; what it wants is for the caller to find out.
 */

/** What a descriptor in epoll belongs to. Connections have tokens from FIRST_CONNECTION on, never used twice. */
const enum Token {
  tun = 1,
  wake = 2,
  paths = 3,
  tcp4 = 4,
  tcp6 = 5,
  udp4 = 6,
  udp6 = 7,
  interface = 8,
}
const FIRST_CONNECTION = 16;

/** Bytes read from the TUN before everything else has its turn. */
const TUN_BUDGET = 512 * 1024;
/** Bytes read from the TUN before what they became is written: half of what one read brings at most. */
const WRITE_AFTER = 32 * 1024;
/** Each connection's send queue, bytes: room for its bound of waiting bytes and as much again while it is moved together. */
const QUEUE_SLAB = 512 * 1024;
/** Longest wait that epoll takes, ms. */
const WAIT_MAX = 0x7fffffff;
/** ICMP errors per second for packets that no peer takes, and at once (kernel net/ipv4/icmp.c: icmp_msgs_per_sec, icmp_msgs_burst, lower). */
const ERRORS_PER_SECOND = 100;
const ERRORS_BURST = 50;
/** Random bytes drawn from the system at once. */
const RANDOM_POOL = 4096;

export interface EngineOptions {
  readonly tun: Tun;
  readonly crypto: Crypto;
  /** of the inner interface, bytes */
  readonly mtu: number;
  /** an eventfd that other threads signal, and what to do then; the descriptor stays the caller's */
  readonly wake?: { readonly fd: number; readonly act: () => void };
  /** takes lines of a Wireshark key log */
  readonly keyLog?: (lines: string) => void;
}

export class Engine implements Driver {
  readonly device: Device;
  readonly slabs = nativeSlabPool(QUEUE_SLAB);
  readonly inner: TunOutput;
  readonly datagrams: UdpSockets;
  /** the interface was deleted under us: nothing more can be done here */
  tunGone = false;

  readonly #tun: Tun;
  readonly #wake: EngineOptions['wake'];
  readonly #epoll = new Epoll();
  readonly #input: TunInput;
  readonly #tcp: TcpSockets;
  readonly #listeners: Listeners;
  readonly #paths: PathWatch;
  readonly #captures: Captures;
  readonly #watch: InterfaceWatch;
  readonly #random = new Uint8Array(RANDOM_POOL);
  #randomUsed = RANDOM_POOL;
  #tunWatched = true;
  #errors = ERRORS_BURST;
  #errorsAt = 0;
  #stopped = false;

  /** Takes over the TUN's descriptor. */
  constructor({ tun, crypto, mtu, wake, keyLog }: EngineOptions) {
    this.#tun = tun;
    this.#wake = wake;
    this.inner = new TunOutput(tun);
    this.datagrams = new UdpSockets(tun.vnetHeader);
    this.device = new Device(this, crypto, { mtu, ...(keyLog === undefined ? {} : { keyLog }) });
    this.#captures = new Captures(this.device);
    this.#input = new TunInput(tun, (slab, offset, length) => this.#refuse(slab, offset, length), this.datagrams);
    this.#tcp = new TcpSockets(this.#epoll, this.device, FIRST_CONNECTION);
    this.#listeners = new Listeners(this.#epoll, {
      tcp4: Token.tcp4,
      tcp6: Token.tcp6,
      udp4: Token.udp4,
      udp6: Token.udp6,
    });
    this.#paths = new PathWatch(this.device, this.#tcp, this.datagrams);
    this.#watch = new InterfaceWatch(tun.fd);
    this.#epoll.add(this.#tun.fd, EPOLLIN, Token.tun);
    if (wake !== undefined) this.#epoll.add(wake.fd, EPOLLIN, Token.wake);
    if (this.#paths.fd >= 0) this.#epoll.add(this.#paths.fd, EPOLLIN, Token.paths);
    if (this.#watch.fd >= 0) this.#epoll.add(this.#watch.fd, EPOLLIN, Token.interface);
  }

  /**
   * Applies a change: first what may fail (ports, mark), then the device's settings. Also the first one, which opens the sockets.
   * @throws WirestreamError with nothing changed
   */
  configure(settings: DeviceSettings): void {
    const now = performance.now();
    const { device } = this;
    const opened = this.#listeners.apply({
      port: settings.listenPort ?? device.listenPort,
      mark: settings.fwmark ?? device.fwmark,
      tcp: this.#listeners.hasTcp || wantsTcp(settings),
    });
    device.fwmark = opened.mark;
    this.datagrams.use(opened.udp4, opened.udp6);
    this.#tcp.setMark(opened.mark);
    device.listening(now, opened.port, this.#listeners.hasTcp);
    configure(device, now, settings);
    this.#finish(now);
  }

  /** The device's state, with what was dropped on its way into or out of the core among its drops. */
  snapshot(): DeviceSnapshot {
    const snapshot = this.device.snapshot(performance.now());
    const drops: Record<string, number> = { ...snapshot.drops };
    const count = (reason: string, drop: number): void => {
      if (drop > 0) drops[reason] = drop;
    };
    count('tun-refused', this.inner.refused);
    count('tun-malformed', this.#input.malformed);
    count('routing-loop', this.#input.looped);
    count('datagram-unsent', this.datagrams.sendFailures);
    const state = this.#lookAtInterface();
    return { ...snapshot, drops, ...(state === null ? {} : { interface: state }) };
  }

  /**
   * Writes what happens from now on into a ring (capture/live), until `uncapture`.
   * @param tell is called on this thread when there is something to read again
   * @throws WirestreamError capture-busy
   */
  capture(id: number, memory: SharedArrayBuffer, options: TapOptions, tell: () => void): void {
    const around = {
      wallOffset: wallOffset(Date.now, () => performance.now()),
      listenPort: () => this.device.listenPort,
      localOf: (remote: Endpoint) => this.datagrams.localOf(remote, this.device.fwmark),
    };
    this.#captures.start(performance.now(), id, memory, options, around, tell);
    this.#captures.publish(performance.now(), Date.now());
  }

  uncapture(id: number): void {
    this.#captures.publish(performance.now(), Date.now());
    this.#captures.stop(id);
  }

  /**
   * One turn: waits for events, at most until the next deadline, and acts on them.
   * @param waitMs the longest wait; 0 takes what is there
   */
  turn(waitMs = WAIT_MAX): void {
    const ready = this.#epoll.wait(this.#timeout(waitMs));
    const now = performance.now();
    for (let i = 0; i < ready; i++) this.#event(now, this.#epoll.token(i), this.#epoll.events(i));
    this.#tcp.settle(now);
    this.#listeners.resume(now);
    this.#paths.check(now);
    if (this.device.nextWakeAt() <= now) this.device.wake(now);
    this.#finish(now);
  }

  /** Closes everything. Keys are wiped, no descriptor is left, and with the TUN go the interface, its addresses and its routes. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.device.close();
    this.#tcp.closeAll();
    this.#listeners.close();
    this.#paths.close();
    this.#watch.close();
    close(this.#tun.fd);
    this.#input.close();
    this.inner.close();
    this.#epoll.close();
    this.slabs.clear();
  }

  // ---- Driver

  random(out: Uint8Array): void {
    if (out.length > RANDOM_POOL) {
      randomFillSync(out);
      return;
    }
    if (this.#randomUsed + out.length > RANDOM_POOL) {
      randomFillSync(this.#random);
      this.#randomUsed = 0;
    }
    // What was handed out is wiped here: it may become a key.
    for (let i = 0; i < out.length; i++) {
      out[i] = this.#random[this.#randomUsed]!;
      this.#random[this.#randomUsed++] = 0;
    }
  }

  wallTime(): number {
    return Date.now();
  }

  dial(connection: Connection, remote: Endpoint): void {
    this.#tcp.dial(connection, remote);
  }

  flush(connection: Connection): void {
    this.#tcp.flush(connection);
  }

  shutdown(connection: Connection): void {
    this.#tcp.shutdown(connection);
  }

  close(connection: Connection, abort: boolean): void {
    this.#tcp.close(connection, abort);
  }

  // ---- the loop

  #timeout(most: number): number {
    if (this.#tcp.hasNews) return 0;
    const now = performance.now();
    let at = Math.min(this.device.nextWakeAt(), this.#listeners.resumesAt, this.#paths.checksAt);
    if (!this.#tunWatched) at = Math.min(at, this.#tcp.waitsUntil(now));
    // Rounded up: a wait that ends early would find nothing due and spin.
    return Math.min(Math.max(Math.ceil(at - now), 0), most);
  }

  #event(now: number, token: number, events: number): void {
    switch (token) {
      case Token.tun:
        this.#readTun(now);
        break;
      case Token.wake:
        drainEventFd(this.#wake!.fd);
        this.#wake!.act();
        break;
      case Token.paths:
        this.#paths.noticed(now);
        break;
      case Token.interface:
        drainRouteWatch(this.#watch.fd);
        this.#lookAtInterface();
        break;
      case Token.tcp4:
        this.#accept(now, this.#listeners.tcp4);
        break;
      case Token.tcp6:
        this.#accept(now, this.#listeners.tcp6);
        break;
      case Token.udp4:
        this.datagrams.receive(now, this.#listeners.udp4, this.device);
        break;
      case Token.udp6:
        this.datagrams.receive(now, this.#listeners.udp6, this.device);
        break;
      default:
        this.#tcp.event(now, token, events);
    }
  }

  #readTun(now: number): void {
    let sinceWrite = 0;
    for (let total = 0; total < TUN_BUDGET;) {
      const n = this.#input.read(now, this.device);
      if (n < 0) {
        if (n !== -EAGAIN && tunGone(n)) this.tunGone = true;
        return;
      }
      total += n;
      sinceWrite += n;
      if (sinceWrite < WRITE_AFTER) continue;
      this.#tcp.writeAll(now);
      sinceWrite = 0;
      if (this.#tcp.waitsUntil(now) > 0) return this.#watchTun(false);
    }
  }

  /** Somebody may have changed the interface: packets are padded up to its MTU and no further. */
  #lookAtInterface(): InterfaceSnapshot | null {
    const state = this.#watch.look();
    if (state !== null) this.device.mtu = state.mtu;
    return state;
  }

  /** Tells the sender of a packet that no peer takes. */
  #refuse(slab: Slab, offset: number, length: number): void {
    const now = performance.now();
    this.#errors = Math.min(ERRORS_BURST, this.#errors + ((now - this.#errorsAt) / 1000) * ERRORS_PER_SECOND);
    this.#errorsAt = now;
    if (this.#errors < 1) return;
    this.#errors--;
    const room = this.inner.reserve(UNREACHABLE_MAX);
    const answer = writeUnreachable(slab, offset, length, this.inner.slab, room);
    if (answer > 0) this.inner.commit(room, answer);
  }

  /** Whether epoll is to tell of packets in the TUN. While it is not, they wait there, and their senders notice. */
  #watchTun(on: boolean): void {
    if (on === this.#tunWatched) return;
    this.#tunWatched = on;
    this.#epoll.modify(this.#tun.fd, on ? EPOLLIN : 0, Token.tun);
  }

  #accept(now: number, listener: number): void {
    if (this.#tcp.accept(now, listener)) this.#listeners.recovered();
    else this.#listeners.pause(now);
  }

  /** Writes what the events of a turn led to. */
  #finish(now: number): void {
    this.inner.flush();
    if (this.inner.gone) this.tunGone = true;
    this.#tcp.writeAll(now);
    this.datagrams.flush();
    if (!this.#captures.isEmpty) this.#captures.publish(performance.now(), Date.now());
    this.#watchTun(this.#tcp.waitsUntil(now) === 0);
  }
}

/** Whether after this change a peer may be carried over TCP. */
function wantsTcp(settings: DeviceSettings): boolean {
  const mayUseTcp = (transport?: Transport | null) => transport === 'tcp' || transport === 'auto';
  return mayUseTcp(settings.transport) || settings.peers.some((peer) => mayUseTcp(peer.transport));
}
