import type { Endpoint } from '../address/endpoint.js';
import type { Slab } from '../slab/slab.js';
import { AF_INET, AF_INET6, readSockaddr, SOCKADDR_IN, SOCKADDR_IN6, writeSockaddr } from './sockaddr.js';
import { nativeSlab } from './nativeslab.js';

/** 32-bit words of the longest socket address, and of the longest packet information (struct in6_pktinfo). */
const NAME_WORDS = SOCKADDR_IN6 / 4;
const INFO_WORDS = 5;

/** linux/in.h, linux/in6.h, bits/socket.h */
const IPPROTO_IP = 0;
const IPPROTO_IPV6 = 41;
const IP_PKTINFO = 8;
const IPV6_PKTINFO = 50;
const IP_TTL = 2;
const IPV6_HOPLIMIT = 52;
/** linux/udp.h, since Linux 4.18 and 5.0 */
const IPPROTO_UDP = 17;
const UDP_SEGMENT = 103;
const UDP_GRO = 104;
/** struct cmsghdr: length (64 bits), level, type; data follow */
const CMSG_HEADER = 16;
/** CMSG_SPACE of struct in6_pktinfo (20 bytes; struct in_pktinfo has 12), of an int, and of a 16-bit number */
export const CONTROL_MAX = 40 + 24 + 24;

/**
 * A way to a peer over UDP: its address, and the local address that it last spoke to, which replies are to come from. The same
 * endpoint reached at two local addresses, or by two interfaces, is two routes, each with an Endpoint object of its own; so when the core learns an endpoint from an
 * authentic message, it has learned the local address with it, and a forged message changes nothing.
 */
export class UdpRoute {
  readonly #name = new Int32Array(NAME_WORDS);
  readonly #info = new Int32Array(INFO_WORDS);
  #hasInfo = false;
  /** whether datagrams are sent from the address that the peer spoke to */
  #isBound = false;
  /** False once it has turned out that the kernel does not cut messages into datagrams on this way (no checksums by the device, or a path MTU below theirs). */
  segments = true;

  private constructor(readonly endpoint: Endpoint) {}

  /** Of an endpoint that nothing was received from: the system chooses the local address. */
  static to(endpoint: Endpoint): UdpRoute {
    const route = new UdpRoute(endpoint);
    writeSockaddr(scratch, 0, endpoint);
    for (let i = 0; i < NAME_WORDS; i++) route.#name[i] = scratch.view.getInt32(4 * i, true);
    return route;
  }

  /**
   * Of a datagram that was received, with its sender's address at slab[name] and its control messages at slab[control].
   * Null when the sender's address is of another family.
   */
  static from(slab: Slab, name: number, control: number, controlLength: number): UdpRoute | null {
    const endpoint = readSockaddr(slab, name);
    if (endpoint === null) return null;
    const route = new UdpRoute(endpoint);
    for (let i = 0; i < NAME_WORDS; i++) route.#name[i] = nameWord(slab, name, i);
    const info = findInfo(slab, control, controlLength);
    if (info >= 0) {
      route.#hasInfo = route.#isBound = true;
      for (let i = 0; i < INFO_WORDS; i++) route.#info[i] = infoWord(slab, info, i);
    }
    return route;
  }

  get family(): 4 | 6 {
    return this.endpoint.family;
  }

  /** Whether a datagram, found as for `from`, came the same way. */
  matches(slab: Slab, name: number, control: number, controlLength: number): boolean {
    for (let i = 0; i < NAME_WORDS; i++) if (this.#name[i] !== nameWord(slab, name, i)) return false;
    const info = findInfo(slab, control, controlLength);
    if (info >= 0 !== this.#hasInfo) return false;
    if (info < 0) return true;
    for (let i = 0; i < INFO_WORDS; i++) if (this.#info[i] !== infoWord(slab, info, i)) return false;
    return true;
  }

  /** The address of ours that the peer spoke to, and the index of the interface where that came in; null when nothing came. */
  get local(): { readonly address: Uint8Array; readonly interface: number } | null {
    if (!this.#hasInfo) return null;
    const words = new Uint8Array(this.#info.buffer.slice(0));
    return this.family === 4
      ? { address: words.subarray(4, 8), interface: this.#info[0]! }
      : { address: words.subarray(0, 16), interface: this.#info[4]! };
  }

  /**
   * Whether to send from the address that the peer spoke to, or to let the system choose. What is still on its way to the old
   * address does not change that back. @returns whether it was bound to that address
   */
  bind(yes: boolean): boolean {
    const was = this.#isBound;
    this.#isBound = yes && this.#hasInfo;
    return was;
  }

  /** Lays the socket address at slab[offset]. @returns its bytes */
  writeName(slab: Slab, offset: number): number {
    for (let i = 0; i < NAME_WORDS; i++) slab.view.setInt32(offset + 4 * i, this.#name[i]!, true);
    return this.family === 4 ? SOCKADDR_IN : SOCKADDR_IN6;
  }

  /**
   * Lays the control messages that choose the local address, the TTL when `hops` is not 0, and the size of the datagrams that the message is to be cut
   * into when `segment` is not 0, at slab[offset].
   * @returns their bytes, 0 when there are none
   */
  writeControl(slab: Slab, offset: number, hops: number, segment: number): number {
    let end = offset;
    if (this.#isBound) end = this.#writeInfo(slab, end);
    if (hops !== 0) {
      const type = this.family === 4 ? IP_TTL : IPV6_HOPLIMIT;
      const data = writeControlHeader(slab, end, levelOf(this.family), type, 4);
      slab.view.setInt32(data, hops, true);
      end = data + 8;
    }
    if (segment !== 0) {
      const data = writeControlHeader(slab, end, IPPROTO_UDP, UDP_SEGMENT, 2);
      slab.view.setUint16(data, segment, true);
      end = data + 8;
    }
    return end - offset;
  }

  /** @returns where it ends; room is counted in whole words of 8 bytes (CMSG_SPACE) */
  #writeInfo(slab: Slab, offset: number): number {
    const v4 = this.family === 4;
    const size = v4 ? 12 : 20;
    const data = writeControlHeader(slab, offset, levelOf(this.family), v4 ? IP_PKTINFO : IPV6_PKTINFO, size);
    // The interface is left to the routing table, but for link-local addresses, which mean nothing without one.
    const leftOut = v4 ? 0 : this.#isLinkLocal ? -1 : 4;
    for (let i = 0; 4 * i < size; i++) slab.view.setInt32(data + 4 * i, i === leftOut ? 0 : this.#info[i]!, true);
    return data + ((size + 7) & ~7);
  }

  /** fe80::/10, whose first two bytes make the lower half of the first word */
  get #isLinkLocal(): boolean {
    return (this.#info[0]! & 0xc0ff) === 0x80fe;
  }
}

const scratch = nativeSlab(4096);

const levelOf = (family: 4 | 6): number => (family === 4 ? IPPROTO_IP : IPPROTO_IPV6);

/** Lays the header of a control message with `size` bytes of data. @returns where the data go */
function writeControlHeader({ view }: Slab, offset: number, level: number, type: number, size: number): number {
  view.setInt32(offset, CMSG_HEADER + size, true);
  view.setInt32(offset + 4, 0, true);
  view.setInt32(offset + 8, level, true);
  view.setInt32(offset + 12, type, true);
  return offset + CMSG_HEADER;
}

/** A word of a socket address; what lies behind an IPv4 one is not looked at. */
function nameWord(slab: Slab, name: number, i: number): number {
  if (i >= 2 && slab.view.getUint16(name, true) === AF_INET) return 0;
  // The flow label of an IPv6 address says nothing of where it is, and the scope means something for link-local ones only.
  if (i === 1 && slab.view.getUint16(name, true) === AF_INET6) return 0;
  return slab.view.getInt32(name + 4 * i, true);
}

/**
 * A word of the packet information. IPv4: { interface, local address (spec_dst), header's destination }, the last of which says nothing more.
 * IPv6: { local address, interface }.
 */
function infoWord(slab: Slab, info: number, i: number): number {
  const { view } = slab;
  const words = view.getInt32(info - 4, true) === IP_PKTINFO ? 2 : INFO_WORDS;
  return i < words ? view.getInt32(info + 4 * i, true) : 0;
}

/** Where the packet information's data begin among the control messages; -1 when there is none. */
function findInfo(slab: Slab, control: number, length: number): number {
  const v4 = findControl(slab, control, length, IPPROTO_IP, IP_PKTINFO, 12);
  return v4 >= 0 ? v4 : findControl(slab, control, length, IPPROTO_IPV6, IPV6_PKTINFO, 20);
}

/** Bytes of each datagram (but the last, which may have fewer) of those that were received together; 0 when there is but one. */
export function segmentSize(slab: Slab, control: number, length: number): number {
  const at = findControl(slab, control, length, IPPROTO_UDP, UDP_GRO, 4);
  return at < 0 ? 0 : Math.max(slab.view.getInt32(at, true), 0);
}

/** Where the data of a control message with at least `room` bytes of them begin; -1 when there is none. */
function findControl(
  { view }: Slab,
  control: number,
  length: number,
  level: number,
  type: number,
  room: number,
): number {
  let at = control;
  const end = control + length;
  while (at + CMSG_HEADER <= end) {
    const size = view.getUint32(at, true);
    if (size < CMSG_HEADER || at + size > end) return -1;
    if (view.getInt32(at + 8, true) === level && view.getInt32(at + 12, true) === type && size >= CMSG_HEADER + room) {
      return at + CMSG_HEADER;
    }
    at += (size + 7) & ~7;
  }
  return -1;
}

/** Places in the table: peers that talk at the same time should mostly find each its own. */
const SLOTS = 1024;

/** Finds the route of a received datagram, and of an endpoint to send to, without allocating for those that are known. */
export class UdpRoutes {
  readonly #slots = new Array<UdpRoute | null>(SLOTS).fill(null);
  readonly #byEndpoint = new WeakMap<Endpoint, UdpRoute>();

  /** @see UdpRoute.from */
  received(slab: Slab, name: number, control: number, controlLength: number): UdpRoute | null {
    const slot = hash(slab, name);
    const known = this.#slots[slot]!;
    if (known !== null && known.matches(slab, name, control, controlLength)) return known;
    const route = UdpRoute.from(slab, name, control, controlLength);
    if (route === null) return null;
    this.#slots[slot] = route;
    this.#byEndpoint.set(route.endpoint, route);
    return route;
  }

  to(endpoint: Endpoint): UdpRoute {
    let route = this.#byEndpoint.get(endpoint);
    if (route === undefined) {
      route = UdpRoute.to(endpoint);
      this.#byEndpoint.set(endpoint, route);
    }
    return route;
  }
}

function hash(slab: Slab, name: number): number {
  let h = 0;
  for (let i = 0; i < NAME_WORDS; i++) h = Math.imul(h ^ nameWord(slab, name, i), 0x9e3779b1);
  return (h >>> 16) & (SLOTS - 1);
}
