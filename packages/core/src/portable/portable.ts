import net from 'node:net';
import { endpointOf, type Endpoint } from '../address/endpoint.js';
import { parseIp } from '../address/ip.js';
import { Captures, RING_ROOM, wallOffset, type CaptureFeed } from '../capture/live/captures.js';
import type { TapOptions } from '../capture/live/encoder.js';
import { ByteRing } from '../capture/live/ring.js';
import { configure } from '../device/configure.js';
import { Device } from '../device/device.js';
import { probeInterval } from '../device/path.js';
import type { CloseReason, DatagramSender, DatagramSink, Driver, PacketSink } from '../device/driver.js';
import type { DeviceSettings } from '../device/settings.js';
import type { DeviceSnapshot } from '../device/snapshot.js';
import type { Peer } from '../device/peer.js';
import type { Crypto } from '../noise/crypto.js';
import { SlabPool } from '../slab/pool.js';
import { Slab } from '../slab/slab.js';
import type { Connection } from '../stream/connection.js';
import { RECORD_MAX } from '../stream/header.js';
import type { DatagramBatches } from './datagrambatches.js';
import { listen, type Listeners } from './listen.js';
import { RandomPool } from './randompool.js';
import { likelySource } from './source.js';

/**
 * The portable driver: the core on node:net and node:dgram, with no native code.
 *
 * Theory of operation. Everything runs on the event loop of the thread that made it. Each event (datagrams: those that are read together) enters
 * the device with the current time and ends in `#settle`, which writes what the event queued and sets one timer to the device's next wake. Inner packets come and go
 * through two functions, so that anything can stand in for a TUN: the user-space stack, a test.
 *
 * What Node does not offer, it does without: no fwmark, no TCP_USER_TIMEOUT (the core's own progress timer does that work), no TCP_NOTSENT_LOWAT (at most
 * WRITE_AHEAD bytes are handed to a socket at a time), no choice of source address for datagrams. Received chunks are copied once into
 * the shared slab, and written bytes once out of the queue's.
 */

/** Bytes handed to a socket ahead of what the kernel took: enough for the longest record and what came with it to be one write. */
const WRITE_AHEAD = 128 * 1024;
/** Pieces of so many bytes that are kept for further writes. */
const COPIES_KEPT = 16;
/** Largest chunk that node:net hands over. */
const CHUNK_MAX = 64 * 1024;
/** Of the send queues, bytes. */
const QUEUE_SLAB = 512 * 1024;
/** Longest sleep of a Node timer, ms. */
const TIMER_MAX = 0x7fffffff;

export interface PortableOptions {
  readonly crypto: Crypto;
  /** makes the memory that `crypto` works on; plain memory when absent. Inner packets given to `packet` are to lie in such memory too */
  readonly makeSlab?: (size: number) => Slab;
  /** makes what sends and receives many datagrams at a time; node:dgram alone does without */
  readonly makeDatagramBatches?: () => DatagramBatches;
  /** the same for the one that inner packets are opened into */
  readonly makePacketSlab?: (size: number) => Slab;
  readonly settings: DeviceSettings;
  /** of the inner interface, bytes */
  readonly mtu: number;
  /** takes an inner packet of `length` bytes at `offset`, valid during the call only */
  readonly deliver: (slab: Slab, offset: number, length: number, from: Peer | null) => void;
  /** takes a super-packet that was checked, virtio-net header first, `length` bytes in all; where absent it is cut up for `deliver` */
  readonly deliverSuper?: (slab: Slab, offset: number, length: number) => void;
  /** local addresses to listen on; all when absent */
  readonly listenOn?: readonly string[];
  /** takes lines of a Wireshark key log */
  readonly keyLog?: (lines: string) => void;
  /**
   * Called at the end of each turn, before what was queued is written; may call `packet`.
   * @returns when it wants to be called at the latest, ms; Infinity for never
   */
  readonly turn?: (now: number) => number;
}

export class PortableDriver implements Driver {
  readonly slabs: SlabPool;
  readonly inner: PacketSink;
  readonly datagrams: DatagramSink;
  readonly device: Device;

  readonly #options: PortableOptions;
  readonly #input: Slab;
  readonly #flushes = new Set<Connection>();
  readonly #batches: DatagramBatches | null;
  readonly #outgoing: { bytes: Uint8Array; to: Endpoint; sender: DatagramSender | undefined }[] = [];
  /** datagrams that could not be sent */
  #unsent = 0;
  /** the last change, which the next one waits for */
  #change: Promise<void> = Promise.resolve();
  readonly #sockets = new Map<Connection, net.Socket>();
  /** memory for bytes that sockets are writing, to be used again */
  readonly #copies: Buffer[] = [];
  readonly #random = new RandomPool();
  readonly #captures: Captures;
  #lastCapture = 0;
  #listeners: Listeners | null = null;
  #timer: NodeJS.Timeout | null = null;
  #timerAt = Infinity;
  #stopped = false;
  #entered = false;
  #turnAt = 0;
  /** ends the turn of the datagrams that are being read */
  #batch: NodeJS.Immediate | null = null;

  constructor(options: PortableOptions) {
    this.#options = options;
    const { makeSlab = Slab.plain, deliverSuper } = options;
    this.slabs = new SlabPool(QUEUE_SLAB, makeSlab);
    this.#input = makeSlab(RECORD_MAX + CHUNK_MAX);
    const innerSlab = (options.makePacketSlab ?? makeSlab)(RECORD_MAX);
    this.inner = {
      slab: innerSlab,
      reserve: () => 0,
      commit: (offset, length, from) => options.deliver(innerSlab, offset, length, from),
      ...(deliverSuper === undefined
        ? {}
        : {
            commitSuper: (offset, length) => {
              deliverSuper(innerSlab, offset, length);
              return true;
            },
          }),
    };
    const outSlab = makeSlab(RECORD_MAX);
    this.#batches = options.makeDatagramBatches?.() ?? null;
    this.datagrams = this.#batches ?? {
      slab: outSlab,
      reserve: () => 0,
      commit: (offset, length, to, sender) => {
        this.#outgoing.push({ bytes: outSlab.bytes.slice(offset, offset + length), to, sender });
      },
    };
    this.device = new Device(this, options.crypto, {
      mtu: options.mtu,
      ...(options.keyLog === undefined ? {} : { keyLog: options.keyLog }),
    });
    this.device.probeInterval = probeInterval(process.env['WIRESTREAM_PROBE_INTERVAL']);
    this.#captures = new Captures(this.device);
  }

  /**
   * Opens the listeners and applies the settings.
   * @throws WirestreamError when the port is in use
   */
  async start(): Promise<void> {
    const { settings } = this.#options;
    await this.configure({ ...settings, listenPort: settings.listenPort ?? 0 });
  }

  /**
   * Applies a change, after those that were asked for before. Connections outlive a change of port.
   * @throws WirestreamError when the port is in use, with nothing changed
   */
  async configure(settings: DeviceSettings): Promise<void> {
    const change = this.#change.then(async () => {
      const { listenPort } = settings;
      if (listenPort !== undefined && (listenPort === 0 || listenPort !== this.#listeners?.port)) {
        await this.#listen(listenPort);
      }
      this.#enter((now) => configure(this.device, now, settings));
    });
    this.#change = change.catch(() => undefined);
    return change;
  }

  async #listen(port: number): Promise<void> {
    const before = this.#listeners;
    const events = {
      accepted: (socket: net.Socket) => this.#accepted(socket),
      datagram: (bytes: Uint8Array, from: Endpoint) => this.#enter((now) => this.#datagram(now, bytes, from), true),
      burst: (fd: number) => this.#enter((now) => this.#batches?.receive(now, fd, this.device), true),
    };
    const opened = await listen(port, this.#options.listenOn ?? ['0.0.0.0', '::'], events, this.#batches);
    // A tunnel that was stopped meanwhile wants no port.
    if (this.#stopped) return opened.close();
    this.#listeners = opened;
    this.#enter((now) => this.device.listening(now, opened.port, true));
    // Not waited for: a listener counts as open until the last connection that it accepted has ended.
    void before?.close();
  }

  /** Sends an inner packet: `length` bytes at `offset`; up to 15 bytes behind it may be overwritten. @returns whether a peer took it */
  packet(slab: Slab, offset: number, length: number): boolean {
    let taken = false;
    this.#enter((now) => {
      taken = this.device.packet(now, slab, offset, length);
    });
    return taken;
  }

  /**
   * Sends a super-packet as one message: `length` bytes at `offset`, virtio-net header first; up to 15 bytes behind it may be overwritten.
   * @returns false when the peer does not take it like that now; then nothing was sent
   */
  superPacket(slab: Slab, offset: number, length: number): boolean {
    let taken = false;
    this.#enter((now) => {
      taken = this.device.superPacket(now, slab, offset, length);
    });
    return taken;
  }

  /** Makes what `event` does one turn: what it queues is written together. */
  run(event: (now: number) => void): void {
    this.#enter(event);
  }

  /** When the turn began that is running or ran last, ms. */
  get turnAt(): number {
    return this.#turnAt;
  }

  snapshot(): DeviceSnapshot {
    const snapshot = this.device.snapshot(performance.now());
    const unsent = this.#unsent + (this.#batches?.sendFailures ?? 0);
    if (unsent === 0) return snapshot;
    return { ...snapshot, drops: { ...snapshot.drops, 'datagram-unsent': unsent } };
  }

  /**
   * Watches the device.
   * @param ready is called when there is something to take again
   * @throws WirestreamError capture-busy
   */
  capture(options: TapOptions, ready: () => void): CaptureFeed {
    const ring = new ByteRing(new ArrayBuffer(ByteRing.memoryFor(RING_ROOM)));
    const around = {
      wallOffset: wallOffset(Date.now, () => performance.now()),
      listenPort: () => this.device.listenPort,
      localOf: (remote: Endpoint) => likelySource(remote),
    };
    const id = ++this.#lastCapture;
    this.#captures.start(performance.now(), id, ring.memory, options, around, () => setImmediate(ready));
    this.#captures.publish(performance.now(), Date.now());
    return {
      take: (most) => ring.take(most),
      stop: () => {
        this.#captures.publish(performance.now(), Date.now());
        this.#captures.stop(id);
        return Promise.resolve();
      },
    };
  }

  /** Closes everything; resolves when no socket is open any more. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.device.close();
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#batch !== null) clearImmediate(this.#batch);
    this.#batch = null;
    this.#random.clear();
    this.#flushes.clear();
    for (const socket of this.#sockets.values()) socket.destroy();
    this.#sockets.clear();
    await this.#listeners?.close();
    this.slabs.clear();
  }

  // ---- Driver

  random(out: Uint8Array): void {
    this.#random.fill(out);
  }

  wallTime(): number {
    return Date.now();
  }

  dial(connection: Connection, remote: Endpoint): void {
    const host = remote.scope === undefined ? remote.address : `${remote.address}%${remote.scope}`;
    const socket = net.connect({ host, port: remote.port, allowHalfOpen: true });
    socket.once('connect', () => {
      const local = endpointOf(parseIp(socket.localAddress!)!, socket.localPort!);
      this.#enter((now) => this.device.dialled(now, connection, local));
    });
    this.#watch(connection, socket);
  }

  flush(connection: Connection): void {
    this.#flushes.add(connection);
  }

  shutdown(connection: Connection): void {
    this.#sockets.get(connection)?.end();
  }

  close(connection: Connection, abort: boolean): void {
    const socket = this.#sockets.get(connection);
    this.#sockets.delete(connection);
    this.#flushes.delete(connection);
    if (socket === undefined) return;
    socket.removeAllListeners();
    socket.on('error', () => undefined);
    if (abort && !socket.connecting) socket.resetAndDestroy();
    else if (socket.connecting) socket.destroy();
    else {
      // Not resumed: what a stranger still sends is not read. FIN goes out after what is queued; then the descriptor goes.
      socket.end();
      socket.destroySoon();
    }
  }

  // ---- events

  #accepted(socket: net.Socket): void {
    if (this.#stopped || socket.remoteAddress === undefined) {
      socket.destroy();
      return;
    }
    const remote = endpointOf(parseIp(socket.remoteAddress.split('%')[0]!)!, socket.remotePort!);
    const local = endpointOf(parseIp(socket.localAddress!.split('%')[0]!)!, socket.localPort!);
    this.#enter((now) => {
      const connection = this.device.accepted(now, local, remote);
      if (connection === null) {
        socket.on('error', () => undefined);
        socket.end();
        socket.destroySoon();
      } else {
        this.#watch(connection, socket);
      }
    });
  }

  #watch(connection: Connection, socket: net.Socket): void {
    this.#sockets.set(connection, socket);
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#enter((now) => this.#data(now, connection, socket, chunk)));
    socket.on('drain', () => this.#enter(() => this.#flushes.add(connection)));
    const over = (reason: CloseReason) => this.#enter((now) => this.#over(now, connection, reason));
    socket.on('end', () => over('eof'));
    socket.on('error', (error: NodeJS.ErrnoException) =>
      over(closeReason(error.code, connection.state === 'dialling')),
    );
    socket.on('close', () => over('reset'));
  }

  #over(now: number, connection: Connection, reason: CloseReason): void {
    const socket = this.#sockets.get(connection);
    if (socket === undefined) return;
    this.close(connection, reason !== 'eof');
    this.device.closed(now, connection, reason);
  }

  #data(now: number, connection: Connection, socket: net.Socket, chunk: Buffer): void {
    const kept = connection.reader.restore(this.#input.bytes, 0);
    this.#input.bytes.set(chunk, kept);
    this.device.readable(now, connection, this.#input, 0, kept + chunk.length);
    if (!connection.wantsInput) socket.pause();
  }

  #datagram(now: number, bytes: Uint8Array, from: Endpoint): void {
    if (bytes.length > this.#input.size) return;
    this.#input.bytes.set(bytes);
    this.device.datagram(now, this.#input, 0, bytes.length, from);
  }

  // ---- turns

  /**
   * Runs one event, and what follows from it, unless one is running already.
   * @param isOneOfMany others come right behind it, as a socket's datagrams do, some dozens of which are read at a time: their turn ends when all
   *   have come, so that one acknowledgement and one write to a native side answer them together
   */
  #enter(event: (now: number) => void, isOneOfMany = false): void {
    if (this.#stopped) return;
    const now = performance.now();
    if (this.#entered) return event(now);
    this.#entered = true;
    this.#turnAt = now;
    try {
      event(now);
      if (!isOneOfMany) this.#settle(now);
      else this.#batch ??= setImmediate(() => this.#endBatch());
    } finally {
      this.#entered = false;
    }
  }

  #endBatch(): void {
    this.#batch = null;
    this.#enter(() => undefined);
  }

  #settle(now: number): void {
    const turnAt = this.#options.turn?.(now) ?? Infinity;
    for (const connection of this.#flushes) {
      this.#flushes.delete(connection);
      connection.flushRequested = false;
      this.#write(now, connection);
    }
    this.#batches?.flush();
    for (const { bytes, to, sender } of this.#outgoing.splice(0)) {
      this.#listeners?.send(bytes, to, () => {
        this.#unsent++;
        sender?.unsent(bytes.length);
      });
    }
    if (!this.#captures.isEmpty) this.#captures.publish(performance.now(), Date.now());
    this.#arm(now, turnAt);
  }

  #write(now: number, connection: Connection): void {
    const socket = this.#sockets.get(connection);
    if (socket === undefined || socket.connecting) return;
    while (socket.writableLength < WRITE_AHEAD && connection.outbox.peek(now)) {
      const { runOffset } = connection.outbox;
      const length = Math.min(connection.outbox.runLength, WRITE_AHEAD);
      const copy = this.#copies.pop() ?? Buffer.allocUnsafeSlow(WRITE_AHEAD);
      copy.set(connection.outbox.slab.bytes.subarray(runOffset, runOffset + length));
      socket.write(copy.subarray(0, length), () => {
        if (this.#copies.length < COPIES_KEPT) this.#copies.push(copy);
      });
      this.device.written(now, connection, length);
    }
  }

  #arm(now: number, turnAt: number): void {
    const at = Math.min(this.device.nextWakeAt(), turnAt);
    if (at === this.#timerAt && this.#timer !== null) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#timerAt = at;
    if (at === Infinity) return;
    // Rounded up: a timer that fires early would find nothing due and spin.
    const delay = Math.min(Math.max(Math.ceil(at - now), 0), TIMER_MAX);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#enter((at) => this.device.wake(at));
    }, delay);
  }
}

function closeReason(code: string | undefined, dialling: boolean): CloseReason {
  if (code === 'ECONNREFUSED') return 'refused';
  if (code === 'ETIMEDOUT') return 'timeout';
  if (code === 'ECONNRESET' || code === 'EPIPE') return dialling ? 'refused' : 'reset';
  return 'error';
}
