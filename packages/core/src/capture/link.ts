import { u16, u32 } from './feed.js';

/** Link types that are understood (tcpdump.org/linktypes.html). */
export const LinkType = {
  null: 0,
  ethernet: 1,
  /** what BSDs and old files write for raw IP */
  rawBsd: 12,
  rawOpenBsd: 14,
  raw: 101,
  loop: 108,
  linuxSll: 113,
  /** private use: our records on a TCP stream */
  user0: 147,
  ipv4: 228,
  ipv6: 229,
  linuxSll2: 276,
} as const;

/** What `findIp` says of a frame that carries no IP packet, and of a link type that it does not know. */
export const NOT_IP = -1;
export const UNKNOWN_LINK = -2;

/** EtherTypes (IEEE 802 numbers). */
const IPV4 = 0x0800;
const IPV6 = 0x86dd;
const VLAN = [0x8100, 0x88a8, 0x9100];
const PPPOE_SESSION = 0x8864;
/** A length, not a type, below this (IEEE 802.3). */
const ETHERTYPE_MIN = 0x0600;
/** The other families of IPv6 in BSD loopback frames: NetBSD, FreeBSD, macOS; Linux writes its own. */
const FAMILY_IPV4 = 2;
const FAMILY_IPV6 = [10, 24, 28, 30];

/**
 * The offset of the IP header in the frame at [offset, end), or NOT_IP or UNKNOWN_LINK. VLAN tags (any number), PPPoE
 * sessions and LLC/SNAP are stepped over.
 */
export function findIp(linkType: number, bytes: Uint8Array, offset: number, end: number): number {
  switch (linkType) {
    case LinkType.ethernet:
      return end - offset < 14 ? NOT_IP : behindType(bytes, offset + 12, end);
    case LinkType.raw:
    case LinkType.rawBsd:
    case LinkType.rawOpenBsd:
    case LinkType.ipv4:
    case LinkType.ipv6:
      return offset;
    case LinkType.linuxSll:
      return end - offset < 16 ? NOT_IP : behindType(bytes, offset + 14, end);
    case LinkType.linuxSll2:
      return end - offset < 20 ? NOT_IP : behindSll2(bytes, offset, end);
    case LinkType.null:
    case LinkType.loop:
      return end - offset < 4 ? NOT_IP : behindFamily(bytes, offset);
    default:
      return UNKNOWN_LINK;
  }
}

/** `at`: offset of an EtherType, behind which the packet lies. */
function behindType(bytes: Uint8Array, at: number, end: number): number {
  let type = u16(bytes, at, false);
  let packet = at + 2;
  while (VLAN.includes(type)) {
    if (end - packet < 4) return NOT_IP;
    type = u16(bytes, packet + 2, false);
    packet += 4;
  }
  if (type === PPPOE_SESSION) {
    if (end - packet < 8) return NOT_IP;
    // Six bytes of PPPoE, two of PPP protocol: 0x0021 and 0x0057 (RFC 2516, RFC 1332, RFC 5072).
    const protocol = u16(bytes, packet + 6, false);
    return protocol === 0x0021 || protocol === 0x0057 ? packet + 8 : NOT_IP;
  }
  if (type < ETHERTYPE_MIN && end - packet >= 8 && u16(bytes, packet, false) === 0xaaaa) {
    type = u16(bytes, packet + 6, false);
    packet += 8;
  }
  return type === IPV4 || type === IPV6 ? packet : NOT_IP;
}

/** Linux cooked v2 has its protocol first and 20 bytes of header; VLAN tags follow the header. */
function behindSll2(bytes: Uint8Array, offset: number, end: number): number {
  let type = u16(bytes, offset, false);
  let packet = offset + 20;
  while (VLAN.includes(type)) {
    if (end - packet < 4) return NOT_IP;
    type = u16(bytes, packet + 2, false);
    packet += 4;
  }
  return type === IPV4 || type === IPV6 ? packet : NOT_IP;
}

/** The family is in the byte order of the machine that captured (LINKTYPE_NULL) or of the network (LINKTYPE_LOOP). */
function behindFamily(bytes: Uint8Array, offset: number): number {
  const little = u32(bytes, offset, true);
  const big = u32(bytes, offset, false);
  const family = Math.min(little, big);
  return family === FAMILY_IPV4 || FAMILY_IPV6.includes(family) ? offset + 4 : NOT_IP;
}
