import type { Endpoint } from '../address/endpoint.js';
import { formatIp } from '../address/ip.js';
import type { DatagramSender, DatagramSink } from '../device/driver.js';
import type { Device } from '../device/device.js';
import { EAGAIN, EINTR, EINVAL, EIO, EMSGSIZE, ENETUNREACH } from './errno.js';
import { errno, libc } from './libc.js';
import { MessageVector } from './messagevector.js';
import { nativeSlab } from './nativeslab.js';
import { interfaceTowards } from './routequery.js';
import { receiveTogether, setBuffers } from './sockopts.js';
import { sourceTowards } from './sockets.js';
import { segmentSize, UdpRoutes, type UdpRoute } from './udproutes.js';
import type { Slab } from '../slab/slab.js';

/** Datagrams to send that are collected (wireguard-go: 128). */
const BATCH = 128;
/** Messages received by one call; each may hold dozens of datagrams. */
const RECEIVE_BATCH = 32;
/** Most datagrams taken from one socket before everything else has its turn. */
const RECEIVE_MAX = 256;
/** Most datagrams that the kernel cuts one message into (linux/udp.h, UDP_MAX_SEGMENTS before Linux 6.9). */
const SEGMENTS_MAX = 64;
/** Largest UDP payload. */
const DATAGRAM_MAX = 65_507;
/** Room for each message received: only what arrives is ever touched. */
const STRIDE = 65_536;
const SEND_SLAB = 512 * 1024;
const ALIGNMENT = 16;
/** Socket buffers, bytes: a burst of a few ms at 10 Gbit/s (wireguard-go: 7 MiB). */
const SOCKET_BUFFER = 7 * 1024 * 1024;

/** What takes received datagrams; the device does. */
export type DatagramTaker = Pick<Device, 'datagram'>;

/**
 * The UDP sockets of a device, one per family, in batches both ways. Replies leave from the local address that the peer spoke to
 * (udproutes.ts). What the socket has no room for is dropped: over UDP the inner connections see to the rest.
 *
 * Datagrams of one size in a row for one peer, which is what a segmentation super-packet becomes, are given to the kernel as one message that it (or the
 * network device) cuts; what came in a row from one peer is received as one. That saves most of the kernel's work per datagram.
 */
export class UdpSockets implements DatagramSink {
  readonly slab = nativeSlab(SEND_SLAB);
  /** datagrams that could not be sent: no room, no way, no socket of that family */
  sendFailures = 0;
  /** TTL or hop limit of datagrams from now on; 0: the system's choice (nesting.ts) */
  hops = 0;

  readonly #routes = new UdpRoutes();
  readonly #input = nativeSlab(RECEIVE_BATCH * STRIDE);
  readonly #received = new MessageVector(RECEIVE_BATCH);
  readonly #out4: Outgoing;
  readonly #out6: Outgoing;
  #end = 0;

  /**
   * @param offload whether the kernel is to cut messages into datagrams and to put received ones together
   * @param together the latter, where it differs
   */
  constructor(
    readonly offload = true,
    private readonly together = offload,
  ) {
    this.#out4 = new Outgoing(offload);
    this.#out6 = new Outgoing(offload);
    for (let i = 0; i < RECEIVE_BATCH; i++) {
      this.#received.place(i, this.#input, i * STRIDE, STRIDE);
      this.#received.openRooms(i);
    }
  }

  /** Takes over the sockets; -1 for a family that there is none of. */
  use(udp4: number, udp6: number): void {
    this.flush();
    this.#out4.fd = udp4;
    this.#out6.fd = udp6;
    for (const fd of [udp4, udp6]) {
      if (fd < 0) continue;
      setBuffers(fd, SOCKET_BUFFER, SOCKET_BUFFER);
      // An older kernel refuses, and hands out one by one.
      receiveTogether(fd, this.together);
    }
  }

  // ---- receiving

  /** Reads what waits at the socket, up to a bound, and hands it to `taker`. @returns 0 or the negative error number */
  receive(now: number, fd: number, taker: DatagramTaker): number {
    for (let taken = 0; taken < RECEIVE_MAX;) {
      const n = libc.recvmmsg(fd, this.#received.address(0, RECEIVE_BATCH), RECEIVE_BATCH, 0, 0);
      if (n < 0) {
        const error = errno();
        return error === EAGAIN || error === EINTR ? 0 : -error;
      }
      for (let m = 0; m < n; m++) taken += this.#hand(now, m, taker);
      if (n < RECEIVE_BATCH) break;
    }
    return 0;
  }

  /** @returns how many datagrams message m held */
  #hand(now: number, m: number, taker: DatagramTaker): number {
    const messages = this.#received;
    const { slab } = messages;
    const length = messages.length(m);
    const control = messages.controlAt(m);
    const controlLength = messages.controlLength(m);
    const route = this.#routes.received(slab, messages.nameAt(m), control, controlLength);
    const size = segmentSize(slab, control, controlLength) || length;
    messages.openRooms(m);
    if (route === null || length === 0) return 1;
    const end = m * STRIDE + length;
    let count = 0;
    for (let at = m * STRIDE; at < end; at += size, count++) {
      taker.datagram(now, this.#input, at, Math.min(size, end - at), route.endpoint);
    }
    return count;
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
  /** the first datagram of each message, and one more entry for the end */
  readonly #firsts = new Uint16Array(BATCH + 1);

  constructor(readonly offload: boolean) {}

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
  }

  /** @returns how many could not be sent */
  send(): number {
    let failures = 0;
    let next = 0;
    while (next < this.#count) {
      const made = this.#compose(next);
      const n = libc.sendmmsg(this.fd, this.#messages.address(0, made), made, 0);
      if (n > 0) {
        next = this.#firsts[n]!;
        continue;
      }
      const error = n < 0 ? errno() : EAGAIN;
      if (error === EINTR) continue;
      if (error === EAGAIN) {
        for (; next < this.#count; next++) failures += this.#lost(next);
        break;
      }
      // The first message is at fault: it is tried again in another way, or lost.
      if (this.#mend(error, this.#routes[next]!, this.#firsts[1]! - next > 1)) continue;
      for (; next < this.#firsts[1]!; next++) failures += this.#lost(next);
    }
    this.#count = 0;
    return failures;
  }

  /**
   * Changes what may be changed about a way that the kernel refused a message on. @returns whether something was
   * @param cut whether the message was to be cut
   */
  #mend(error: number, route: UdpRoute, cut: boolean): boolean {
    if (cut && (error === EINVAL || error === EIO || error === EMSGSIZE)) {
      route.segments = false;
      return true;
    }
    // A local address that is no longer ours is left to the system from now on (IPv6 and older kernels say EINVAL to it, newer ones ENETUNREACH for
    // IPv4); then cutting was not at fault.
    if ((error !== EINVAL && error !== ENETUNREACH) || !route.bind(false)) return false;
    route.segments = true;
    return true;
  }

  /** Makes messages of the datagrams from `next` on. @returns how many */
  #compose(next: number): number {
    let m = 0;
    for (let i = next; i < this.#count; m++) {
      const end = this.#runEnd(i);
      this.#firsts[m] = i;
      this.#messages.gather(m, i, end - i);
      this.#address(m, i, end - i > 1 ? this.#lengths[i]! : 0);
      i = end;
    }
    this.#firsts[m] = this.#count;
    return m;
  }

  /** Where the datagrams end that can be one message with datagram i: same way, same size, but for the last, which may be shorter. */
  #runEnd(i: number): number {
    const route = this.#routes[i]!;
    if (!this.offload || !route.segments) return i + 1;
    const size = this.#lengths[i]!;
    const limit = Math.min(this.#count, i + SEGMENTS_MAX);
    let total = size;
    for (let end = i + 1; end < limit; end++) {
      const length = this.#lengths[end]!;
      total += length;
      const fits = this.#routes[end] === route && this.#hops[end] === this.#hops[i] && total <= DATAGRAM_MAX;
      if (!fits || length > size) return end;
      if (length < size) return end + 1;
    }
    return limit;
  }

  #address(m: number, i: number, segment: number): void {
    const messages = this.#messages;
    const route = this.#routes[i]!;
    const name = route.writeName(messages.slab, messages.nameAt(m));
    messages.setLengths(m, name, route.writeControl(messages.slab, messages.controlAt(m), this.#hops[i]!, segment));
  }

  #lost(i: number): 1 {
    this.#senders[i]?.unsent(this.#lengths[i]!);
    return 1;
  }
}
