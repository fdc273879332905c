import type { Slab } from '../slab/slab.js';
import {
  IP4_FRAGMENT,
  IP4_HEADER,
  IP4_ID,
  IP4_PROTOCOL,
  IP4_TTL,
  IP6_HEADER,
  IP6_HOPS,
  IP6_NEXT,
  UDP_HEADER,
} from '../offload/fields.js';

/**
 * Bounds routing loops in which tunnels over UDP carry each other.
 *
 * Theory of operation. When the way to a peer leads through another tunnel, and that one's way through this one, every packet goes round for
 * ever, growing with each round until it is cut in two, and so on; neither tunnel can see that what it carries contains its own
 * packets, because it is sealed. What both see is that it is a WireGuard message in UDP. So carrying one costs hops as a router would,
 * eight at a time: the packet outside gets the TTL of the one inside less eight, and one that has none left is dropped. Tunnels in
 * tunnels work as before, up to eight deep, which is also how deep the kernel lets devices transmit into each other
 * (net/core/dev.h XMIT_RECURSION_LIMIT). All other packets leave with the system's TTL. Over TCP there is no need: a loop is one connection inside
 * the other, and both wait.
 */
const COST = 8;
/** What Linux gives packets by itself (net.ipv4.ip_default_ttl); no packet leaves with more. */
const HOPS_MAX = 64;

/** protocol numbers (RFC 768, RFC 8200 §4.5) */
const UDP = 17;
const IP6_FRAGMENT = 44;
const IP6_FRAGMENT_HEADER = 8;
/** Of a WireGuard message: a keepalive's (paper §5.4.6). */
const MESSAGE_MIN = 32;
const MESSAGE_TYPES = 4;
/** How many messages cut into fragments are remembered, for the fragments that do not tell what they belong to. */
const REMEMBERED = 64;

/** What `Nesting.hops` says of a packet that has gone round too often. */
export const NO_HOPS = -1;

export class Nesting {
  readonly #cut = new Int32Array(REMEMBERED);
  #next = 0;

  /**
   * With how many hops the inner packet of `length` bytes at `offset` is to be sent: 0 leaves it to the system, NO_HOPS: it is to be dropped.
   */
  hops(slab: Slab, offset: number, length: number): number {
    const { bytes } = slab;
    const version = bytes[offset]! >> 4;
    if (version === 4) {
      if (bytes[offset + IP4_PROTOCOL] !== UDP || length < IP4_HEADER) return 0;
      return this.#isMessage4(slab, offset, length) ? left(bytes[offset + IP4_TTL]!) : 0;
    }
    if (version !== 6 || length < IP6_HEADER) return 0;
    const next = bytes[offset + IP6_NEXT];
    if (next !== UDP && next !== IP6_FRAGMENT) return 0;
    const nested =
      next === UDP ? isMessage(slab, offset + IP6_HEADER, offset + length) : this.#isMessage6(slab, offset, length);
    return nested ? left(bytes[offset + IP6_HOPS]!) : 0;
  }

  #isMessage4(slab: Slab, offset: number, length: number): boolean {
    const { view } = slab;
    const fragment = view.getUint16(offset + IP4_FRAGMENT);
    const header = (view.getUint8(offset) & 0xf) * 4;
    const whole = (fragment & 0x3fff) === 0;
    if (whole) return isMessage(slab, offset + header, offset + length);
    const id = view.getUint16(offset + IP4_ID) ^ view.getInt32(offset + 12) ^ view.getInt32(offset + 16);
    return this.#isCut(id, (fragment & 0x1fff) === 0, slab, offset + header, offset + length);
  }

  #isMessage6(slab: Slab, offset: number, length: number): boolean {
    const at = offset + IP6_HEADER;
    if (length < IP6_HEADER + IP6_FRAGMENT_HEADER || slab.bytes[at] !== UDP) return false;
    const id = slab.view.getInt32(at + 4) ^ slab.view.getInt32(offset + 20) ^ slab.view.getInt32(offset + 36);
    const isFirst = (slab.view.getUint16(at + 2) & 0xfff8) === 0;
    return this.#isCut(id, isFirst, slab, at + IP6_FRAGMENT_HEADER, offset + length);
  }

  /** A first fragment shows what it is; the others are known by it, since they come behind it. */
  #isCut(id: number, isFirst: boolean, slab: Slab, udp: number, end: number): boolean {
    // 0 is an empty place.
    const key = id | 0 || 1;
    if (!isFirst) return this.#cut.includes(key);
    if (!isMessage(slab, udp, end)) return false;
    this.#cut[this.#next] = key;
    this.#next = (this.#next + 1) % REMEMBERED;
    return true;
  }
}

/** Whether the UDP packet there begins as a WireGuard message does: one of four types, three zero bytes. */
function isMessage({ view }: Slab, udp: number, end: number): boolean {
  if (udp + UDP_HEADER + MESSAGE_MIN > end) return false;
  const type = view.getUint32(udp + UDP_HEADER, true);
  return type >= 1 && type <= MESSAGE_TYPES;
}

function left(hops: number): number {
  return hops > COST ? Math.min(hops - COST, HOPS_MAX) : NO_HOPS;
}
