import type { Endpoint } from '../address/endpoint.js';
import { formatIp } from '../address/ip.js';
import type { DatagramSender, DatagramSink } from '../device/driver.js';
import type { Device } from '../device/device.js';
import { EAGAIN, EINTR, EINVAL, ENETUNREACH } from './errno.js';
import { errno, libc } from './libc.js';
import { MessageVector } from './messagevector.js';
import { nativeSlab } from './nativeslab.js';
import { interfaceTowards } from './routequery.js';
import { setBuffers } from './sockopts.js';
import { sourceTowards } from './sockets.js';
import { UdpRoutes, type UdpRoute } from './udproutes.js';
import type { Slab } from '../slab/slab.js';

/** Datagrams per system call (wireguard-go's batches are of 128; most of the gain is there at 64). */
const BATCH = 64;
/** Largest UDP payload. */
const DATAGRAM_MAX = 65_507;
/** Room for each datagram received: only what arrives is ever touched. */
const STRIDE = 65_536;
const SEND_SLAB = 512 * 1024;
const ALIGNMENT = 16;
/** Most batches taken from one socket before everything else has its turn. */
const RECEIVE_BATCHES = 4;
/** Socket buffers, bytes: a burst of a few ms at 10 Gbit/s (wireguard-go: 7 MiB). */
const SOCKET_BUFFER = 7 * 1024 * 1024;

/** What takes received datagrams; the device does. */
export type DatagramTaker = Pick<Device, 'datagram'>;

/**
 * The UDP sockets of a device, one per family, in batches both ways. Replies leave from the local address that the peer spoke to
 * (udproutes.ts). What the socket has no room for is dropped: over UDP the inner connections see to the rest.
 */
export class UdpSockets implements DatagramSink {
  readonly slab = nativeSlab(SEND_SLAB);
  /** datagrams that could not be sent: no room, no way, no socket of that family */
  sendFailures = 0;
  /** TTL or hop limit of datagrams from now on; 0: the system's choice (nesting.ts) */
  hops = 0;

  readonly #routes = new UdpRoutes();
  readonly #input = nativeSlab(BATCH * STRIDE);
  readonly #received = new MessageVector(BATCH);
  readonly #out4 = new Outgoing();
  readonly #out6 = new Outgoing();
  #end = 0;

  constructor() {
    for (let i = 0; i < BATCH; i++) {
      this.#received.place(i, this.#input, i * STRIDE, STRIDE);
      this.#received.openRooms(i);
    }
  }

  /** Takes over the sockets; -1 for a family that there is none of. */
  use(udp4: number, udp6: number): void {
    this.flush();
    this.#out4.fd = udp4;
    this.#out6.fd = udp6;
    for (const fd of [udp4, udp6]) if (fd >= 0) setBuffers(fd, SOCKET_BUFFER, SOCKET_BUFFER);
  }

  // ---- receiving

  /** Reads what waits at the socket, up to a bound, and hands it to `taker`. @returns 0 or the negative error number */
  receive(now: number, fd: number, taker: DatagramTaker): number {
    for (let i = 0; i < RECEIVE_BATCHES; i++) {
      const n = libc.recvmmsg(fd, this.#received.address(0, BATCH), BATCH, 0, 0);
      if (n < 0) {
        const error = errno();
        return error === EAGAIN || error === EINTR ? 0 : -error;
      }
      for (let m = 0; m < n; m++) this.#hand(now, m, taker);
      if (n < BATCH) break;
    }
    return 0;
  }

  #hand(now: number, m: number, taker: DatagramTaker): void {
    const messages = this.#received;
    const length = messages.length(m);
    const route = this.#routes.received(
      messages.slab,
      messages.nameAt(m),
      messages.controlAt(m),
      messages.controlLength(m),
    );
    messages.openRooms(m);
    if (route !== null && length > 0) taker.datagram(now, this.#input, m * STRIDE, length, route.endpoint);
  }

  // ---- sending (DatagramSink)

  reserve(length: number): number {
    if (length > DATAGRAM_MAX) return -1;
    let at = (this.#end + ALIGNMENT - 1) & -ALIGNMENT;
    if (at + length > SEND_SLAB) {
      this.flush();
      at = 0;
    }
    return at;
  }

  commit(offset: number, length: number, to: Endpoint, sender: DatagramSender | null = null): void {
    const out = to.family === 4 ? this.#out4 : this.#out6;
    if (out.fd < 0) {
      this.sendFailures++;
      sender?.unsent(length);
      return;
    }
    out.add(this.slab, offset, length, this.#routes.to(to), this.hops, sender);
    this.#end = offset + length;
    // Its room has to stay until it is sent, and the other family's too.
    if (out.isFull) this.flush();
  }

  /**
   * Ways may have changed. While datagrams for that endpoint leave by another interface than the peer was heard on, they are not bound to the
   * address that it spoke to (kernel socket.c, send4 and send6).
   */
  reroute(to: Endpoint, mark: number): void {
    const route = this.#routes.to(to);
    const { local } = route;
    if (local !== null) route.bind(interfaceTowards(to, local.address, mark) === local.interface);
  }

  /** The address of ours that datagrams for that endpoint leave from; null when there is no way there. */
  localOf(to: Endpoint, mark: number): string | null {
    const { local } = this.#routes.to(to);
    return local !== null ? formatIp(local.address) : sourceTowards(to, mark);
  }

  /** Sends what waits. */
  flush(): void {
    this.sendFailures += this.#out4.send() + this.#out6.send();
    this.#end = 0;
  }
}

/** Datagrams that wait to be sent from one socket. */
class Outgoing {
  fd = -1;
  #count = 0;
  readonly #messages = new MessageVector(BATCH);
  readonly #routes = new Array<UdpRoute | null>(BATCH).fill(null);
  readonly #hops = new Uint8Array(BATCH);
  readonly #senders = new Array<DatagramSender | null>(BATCH).fill(null);
  readonly #lengths = new Uint16Array(BATCH);

  get isFull(): boolean {
    return this.#count === BATCH;
  }

  add(slab: Slab, offset: number, length: number, route: UdpRoute, hops: number, sender: DatagramSender | null): void {
    const i = this.#count++;
    this.#routes[i] = route;
    this.#hops[i] = hops;
    this.#senders[i] = sender;
    this.#lengths[i] = length;
    this.#messages.place(i, slab, offset, length);
    this.#address(i);
  }

  #address(i: number): void {
    const messages = this.#messages;
    const route = this.#routes[i]!;
    const name = route.writeName(messages.slab, messages.nameAt(i));
    messages.setLengths(i, name, route.writeControl(messages.slab, messages.controlAt(i), this.#hops[i]!));
  }

  /** @returns how many could not be sent */
  send(): number {
    let failures = 0;
    let first = 0;
    while (first < this.#count) {
      const n = libc.sendmmsg(this.fd, this.#messages.address(first, this.#count - first), this.#count - first, 0);
      if (n > 0) {
        first += n;
        continue;
      }
      const error = n < 0 ? errno() : EAGAIN;
      if (error === EINTR) continue;
      if (error === EAGAIN) {
        for (; first < this.#count; first++) failures += this.#lost(first);
        break;
      }
      // The first one is at fault. A local address that is no longer ours is left to the system from now on (IPv6 and older kernels
      // say EINVAL to it, newer ones ENETUNREACH for IPv4).
      if ((error === EINVAL || error === ENETUNREACH) && this.#routes[first]!.bind(false)) {
        this.#address(first);
        continue;
      }
      failures += this.#lost(first++);
    }
    this.#count = 0;
    return failures;
  }

  #lost(i: number): 1 {
    this.#senders[i]?.unsent(this.#lengths[i]!);
    return 1;
  }
}
