import { randomInt } from 'node:crypto';
import { formatIp, parseIp } from '../../address/ip.js';
import type { CaptureFeed } from '../../capture/live/captures.js';
import type { TapOptions } from '../../capture/live/encoder.js';
import { WirestreamError } from '../../device/errors.js';
import type { Peer } from '../../device/peer.js';
import type { DeviceSettings } from '../../device/settings.js';
import type { DeviceSnapshot } from '../../device/snapshot.js';
import type { Crypto } from '../../noise/crypto.js';
import { Slab } from '../../slab/slab.js';
import type { Forward, HostPort, RemoteForward } from '../../userspace/forward.js';
import { flowLimits } from '../../userspace/limits.js';
import type { NativeDatagrams, NativeStream, Path, StackHost, Target } from '../../userspace/native.js';
import { Policy } from '../../userspace/policy.js';
import { ALLOW_ALL, type AllowRule } from '../../userspace/rules.js';
import type { FlowSnapshot } from '../../userspace/snapshot.js';
import { UserStack } from '../../userspace/stack.js';
import type { TcpFlow } from '../../userspace/tcp/flow.js';
import type { UdpFlow } from '../../userspace/udp/flow.js';
import type { DatagramBatches } from '../datagrambatches.js';
import { PortableDriver } from '../portable.js';
import { RandomPool } from '../randompool.js';
import { openDatagrams } from './socketdatagrams.js';
import { descriptorLimit } from './descriptors.js';
import { connectError } from './errors.js';
import { Echoes } from './echo.js';
import { openForward, type OpenForward } from './forwards.js';
import { PeerPath, type TurnMeter } from './peerpath.js';
import { Resolver } from './resolver.js';
import { openSocks5 } from './socks5.js';
import { openSocket } from './socketstream.js';
import { TunnelServer } from './tunnelserver.js';
import { TunnelSocket } from './tunnelsocket.js';
import type { Turns } from './turns.js';

/**
 * A whole tunnel without TUN, routes or privileges: a device on the portable driver, and the user-space stack in place of a TUN.
 *
 * Theory of operation. The driver delivers opened inner packets to the stack and takes those that the stack sends; the stack turns inner flows into native
 * sockets here. Every native event is a turn of the driver: the stack changes, and at the end of the turn sends what follows from it. Node gives no
 * sight of what a socket's other end has acknowledged, and no peeking: bytes count as taken when the kernel has accepted them, and what is read is kept
 * here until the inner side acknowledges it.
 */

/** of the inner interface when nothing else is said (as of the kernel's wg devices) */
export const MTU_DEFAULT = 1420;
/** What IPv6 asks of a link (RFC 8200 §5), and IPv4 of a host (RFC 791 §3.1: 576). */
const MTU_MIN = 576;
const PING_TIMEOUT = 5_000;
/** bytes of padding, as ping(8) sends */
const PING_DATA = 56;

export interface RootlessOptions {
  readonly crypto: Crypto;
  /** makes the memory that `crypto` works on (see `fastestProvider`) */
  readonly makeSlab?: (size: number) => Slab;
  readonly makePacketSlab?: (size: number) => Slab;
  readonly makeDatagramBatches?: () => DatagramBatches;
  readonly settings: DeviceSettings;
  /** our addresses inside the tunnel, 4 or 16 bytes each; host bits kept */
  readonly addresses: readonly { readonly bytes: Uint8Array }[];
  readonly mtu?: number;
  /** what peers may reach from here */
  readonly allow?: readonly AllowRule[];
  /** everything */
  readonly exit?: boolean;
  readonly forwards?: readonly Forward[];
  readonly remoteForwards?: readonly RemoteForward[];
  /** where a SOCKS5 proxy into the tunnel listens */
  readonly socks5?: HostPort;
  /** name servers inside the tunnel for the names that forwards and the proxy are asked for; without, names are looked up here */
  readonly nameServers?: readonly Uint8Array[];
  /** local addresses to listen on for the tunnel itself; all when absent */
  readonly listenOn?: readonly string[];
  /** takes lines of a Wireshark key log */
  readonly keyLog?: (lines: string) => void;
}

export class RootlessTunnel implements StackHost, Turns {
  readonly driver: PortableDriver;
  readonly stack: UserStack;
  readonly #options: RootlessOptions;
  readonly #policy: Policy;
  readonly #paths = new Map<Peer, PeerPath>();
  readonly #turn: TurnMeter = { now: 0, bytes: 0 };
  readonly #resolver: Resolver;
  readonly #echoes = new Echoes();
  readonly #random = new RandomPool();
  readonly #servers = new Set<TunnelServer>();
  readonly #forwards: OpenForward[] = [];
  #proxy: OpenForward | null = null;
  #stopping = false;

  constructor(options: RootlessOptions) {
    this.#options = options;
    const mtu = options.mtu ?? MTU_DEFAULT;
    if (!(mtu >= MTU_MIN && mtu <= 65_535)) {
      throw new WirestreamError('bad-mtu', `MTU ${mtu} is not between ${MTU_MIN} and 65535`, 'leave MTU out for 1420');
    }
    const addresses = options.addresses.map(({ bytes }) => bytes);
    const rules = [...(options.allow ?? []), ...(options.exit === true ? [ALLOW_ALL] : [])];
    this.#policy = new Policy(addresses, rules, options.remoteForwards ?? []);
    const { makeSlab = Slab.plain, makePacketSlab = makeSlab } = options;
    const limits = flowLimits(descriptorLimit());
    this.stack = new UserStack(this, { mtu, addresses, limits, policy: this.#policy, makeSlab: makePacketSlab });
    this.#resolver = new Resolver(this, options.nameServers ?? null);
    this.driver = new PortableDriver({
      crypto: options.crypto,
      makeSlab,
      makePacketSlab,
      ...(options.makeDatagramBatches === undefined ? {} : { makeDatagramBatches: options.makeDatagramBatches }),
      settings: options.settings,
      mtu,
      deliver: (slab, offset, length) => this.stack.packet(this.driver.turnAt, slab, offset, length),
      deliverSuper: (slab, offset, length) => this.stack.superPacket(this.driver.turnAt, slab, offset, length),
      turn: (now) => this.#endOfTurn(now),
      ...(options.listenOn === undefined ? {} : { listenOn: options.listenOn }),
      ...(options.keyLog === undefined ? {} : { keyLog: options.keyLog }),
    });
  }

  /**
   * Opens everything that listens, and brings the tunnel up.
   * @throws WirestreamError when an address or port cannot be had; nothing stays open then
   */
  async start(): Promise<void> {
    try {
      await this.driver.start();
      for (const forward of this.#options.forwards ?? []) this.#forwards.push(await openForward(this, forward));
      if (this.#options.socks5 !== undefined) this.#proxy = await openSocks5(this, this.#options.socks5);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Ends all flows and closes everything; resolves when no socket is open any more. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const server of this.#servers) server.close();
    const listening = this.#forwards.splice(0);
    if (this.#proxy !== null) listening.push(this.#proxy);
    this.#proxy = null;
    await Promise.all(listening.map((forward) => forward.close()));
    this.run(() => this.stack.close());
    await this.driver.stop();
    this.#random.clear();
  }

  async configure(settings: DeviceSettings): Promise<void> {
    await this.driver.configure(settings);
    for (const peer of this.#paths.keys())
      if (this.driver.device.peer(peer.publicKey) !== peer) this.#paths.delete(peer);
  }

  snapshot(): DeviceSnapshot {
    return this.driver.snapshot();
  }

  /** @see PortableDriver.capture */
  capture(options: TapOptions, ready: () => void): CaptureFeed {
    return this.driver.capture(options, ready);
  }

  /** All flows, for `show flows`. */
  flows(): FlowSnapshot[] {
    return this.stack.flows(performance.now());
  }

  /** Where the forwards listen, in the order given; ports that the system chose included. */
  get forwardEndpoints(): HostPort[] {
    return this.#forwards.map(({ listen }) => listen);
  }

  /** Where the SOCKS5 proxy listens; null when there is none. */
  get socks5Endpoint(): HostPort | null {
    return this.#proxy?.listen ?? null;
  }

  // ---- from this program into the tunnel

  /**
   * Sends an echo request from our tunnel address.
   * @returns the round trip, ms
   * @throws WirestreamError no-address, no-answer
   */
  ping(address: string, options: { timeout?: number; size?: number } = {}): Promise<number> {
    const { timeout = PING_TIMEOUT, size = PING_DATA } = options;
    const destination = parseIp(address);
    const source = destination === null ? null : this.stack.sourceFor(destination);
    return new Promise((resolve, reject) => {
      if (destination === null || source === null) {
        return reject(noAddress(address));
      }
      this.run((now) => {
        const done = (roundTrip: number | null) =>
          roundTrip === null
            ? reject(new WirestreamError('no-answer', `${address} did not answer within ${timeout} ms`))
            : resolve(roundTrip);
        if (!this.stack.pings.send(now, source, destination, size, timeout, done)) done(null);
      });
    });
  }

  /** Connects to a port of a host inside the tunnel. The stream emits 'connect', or 'error' as a socket does. */
  connect(host: string, port: number): TunnelSocket {
    const address = parseIp(host);
    if (address !== null) return this.connectTo(address, port);
    const socket = new TunnelSocket(this, { host, port });
    void this.#connectName(host, port, socket);
    return socket;
  }

  connectTo(address: Uint8Array, port: number): TunnelSocket {
    const socket = new TunnelSocket(this, { host: formatIp(address), port });
    this.dial(address, port, socket.native, (flow) => socket.attach(flow));
    return socket;
  }

  async #connectName(host: string, port: number, socket: TunnelSocket): Promise<void> {
    try {
      const address = await this.resolve(host);
      if (!socket.destroyed) this.dial(address, port, socket.native, (flow) => socket.attach(flow));
    } catch (error) {
      socket.destroy(error as Error);
    }
  }

  /** An address of a host, looked up as `nameServers` says. */
  resolve(host: string): Promise<Uint8Array> {
    return this.#resolver.resolve(host);
  }

  /** Begins a flow into the tunnel for something native; `native.failed` tells when there is none. */
  dial(address: Uint8Array, port: number, native: NativeStream, attach: (flow: TcpFlow) => void): void {
    this.run((now) => {
      const source = this.stack.sourceFor(address);
      const flow = source === null ? 'unreachable' : this.stack.tcp.connect(now, source, address, port, native);
      if (typeof flow === 'string') native.failed(flow);
      else attach(flow);
    });
  }

  /**
   * Accepts connections to a port of our tunnel addresses: the server emits 'connection' with each.
   * @throws WirestreamError port-in-use
   */
  listen(port: number, onConnection?: (socket: TunnelSocket) => void): TunnelServer {
    const server = new TunnelServer(port, () => {
      this.#policy.unlisten('tcp', port);
      this.#servers.delete(server);
    });
    if (onConnection !== undefined) server.on('connection', onConnection);
    if (!this.#policy.listen('tcp', port, server)) {
      throw new WirestreamError('port-in-use', `port ${port} of the tunnel is in use`, 'close its server first');
    }
    this.#servers.add(server);
    return server;
  }

  // ---- Turns

  get isStopping(): boolean {
    return this.#stopping;
  }

  run(event: (now: number) => void): void {
    this.driver.run(event);
  }

  #endOfTurn(now: number): number {
    this.#turn.now = now;
    this.#turn.bytes = 0;
    this.stack.wake(now);
    return this.stack.nextWakeAt(now);
  }

  // ---- StackHost

  send(slab: Slab, offset: number, length: number): void {
    this.#turn.bytes += length;
    this.driver.packet(slab, offset, length);
  }

  sendSuper(slab: Slab, offset: number, length: number): boolean {
    if (!this.driver.superPacket(slab, offset, length)) return false;
    this.#turn.bytes += length;
    return true;
  }

  path(address: Uint8Array): Path | null {
    const { allowedIps } = this.driver.device;
    const peer =
      address.length === 4
        ? allowedIps.lookup4((address[0]! << 24) | (address[1]! << 16) | (address[2]! << 8) | address[3]!)
        : allowedIps.lookup6(address, 0);
    if (peer === null) return null;
    let path = this.#paths.get(peer);
    if (path === undefined) this.#paths.set(peer, (path = new PeerPath(peer, this.#turn)));
    return path;
  }

  random(out: Uint8Array): void {
    this.#random.fill(out);
  }

  echo(destination: Uint8Array, dataLength: number, answered: () => void): boolean {
    return this.#echoes.ask(destination, dataLength, () => this.run(answered));
  }

  /** 16 random bits. */
  randomId(): number {
    return randomInt(0x1_0000);
  }

  openStream(flow: TcpFlow, target: Target): NativeStream {
    if (target.kind === 'address') return openSocket(this, flow, target.host, target.port);
    const server = target.listener as TunnelServer;
    const socket = new TunnelSocket(this, { host: formatIp(flow.remote), port: flow.remotePort }, (accepted) =>
      server.accept(accepted),
    );
    socket.attach(flow);
    process.nextTick(() => this.run((now) => this.stack.tcp.connected(now, flow)));
    return socket.native;
  }

  openDatagrams(flow: UdpFlow, target: Target): NativeDatagrams | null {
    return target.kind === 'address' ? openDatagrams(this, flow, target.host, target.port) : null;
  }
}

function noAddress(host: string): Error {
  return Object.assign(connectError('unreachable', host, 0), { code: 'EHOSTUNREACH' });
}
