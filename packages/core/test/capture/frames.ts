import { parseIp } from '../../src/address/ip.js';

/** Builds packets by hand, plainly: what the code under test is compared with. */

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const ACK = 16;

export interface Ends {
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

export const ENDS: Ends = { source: '192.0.2.1', destination: '192.0.2.2', sourcePort: 40000, destinationPort: 51820 };

export function reversed(ends: Ends): Ends {
  return {
    source: ends.destination,
    destination: ends.source,
    sourcePort: ends.destinationPort,
    destinationPort: ends.sourcePort,
  };
}

export function concat(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

export function be16(n: number): Uint8Array {
  return Uint8Array.of(n >>> 8, n);
}

export function be32(n: number): Uint8Array {
  return Uint8Array.of(n >>> 24, n >>> 16, n >>> 8, n);
}

/** `length` bytes that are not regular. */
export function noise(length: number, seed = 1): Uint8Array {
  let state = seed >>> 0 || 1;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

export interface Ipv4Options {
  readonly identification?: number;
  /** flags and fragment offset field */
  readonly fragment?: number;
}

/** An IPv4 or IPv6 packet, by the kind of the addresses. */
export function ip(ends: Ends, protocol: number, payload: Uint8Array, options: Ipv4Options = {}): Uint8Array {
  const source = parseIp(ends.source)!;
  const destination = parseIp(ends.destination)!;
  if (source.length === 16) {
    return concat(
      Uint8Array.of(0x60, 0, 0, 0),
      be16(payload.length),
      Uint8Array.of(protocol, 64),
      source,
      destination,
      payload,
    );
  }
  const { identification = 0, fragment = 0 } = options;
  return concat(
    Uint8Array.of(0x45, 0),
    be16(20 + payload.length),
    be16(identification),
    be16(fragment),
    Uint8Array.of(64, protocol, 0, 0),
    source,
    destination,
    payload,
  );
}

export interface Segment {
  readonly sequence: number;
  readonly acknowledgement?: number;
  readonly flags?: number;
  readonly payload?: Uint8Array;
}

export function tcp(ends: Ends, segment: Segment): Uint8Array {
  const header = concat(
    be16(ends.sourcePort),
    be16(ends.destinationPort),
    be32(segment.sequence),
    be32(segment.acknowledgement ?? 0),
    Uint8Array.of(0x50, segment.flags ?? ACK, 0xff, 0xff, 0, 0, 0, 0),
  );
  return ip(ends, 6, concat(header, segment.payload ?? new Uint8Array(0)));
}

export function udp(ends: Ends, payload: Uint8Array): Uint8Array {
  const header = concat(be16(ends.sourcePort), be16(ends.destinationPort), be16(8 + payload.length), be16(0));
  return ip(ends, 17, concat(header, payload));
}

/** Puts link-layer headers of all kinds around an IP packet. */
export const WRAP: Record<string, { linkType: number; wrap: (packet: Uint8Array) => Uint8Array }> = {
  ethernet: { linkType: 1, wrap: (p) => concat(new Uint8Array(12), etherType(p), p) },
  'ethernet, padded': { linkType: 1, wrap: (p) => concat(new Uint8Array(12), etherType(p), p, new Uint8Array(46)) },
  vlan: { linkType: 1, wrap: (p) => concat(new Uint8Array(12), be16(0x8100), be16(5), etherType(p), p) },
  'vlan in vlan': {
    linkType: 1,
    wrap: (p) => concat(new Uint8Array(12), be16(0x88a8), be16(7), be16(0x8100), be16(5), etherType(p), p),
  },
  pppoe: {
    linkType: 1,
    wrap: (p) =>
      concat(
        new Uint8Array(12),
        be16(0x8864),
        Uint8Array.of(0x11, 0, 0, 1),
        be16(p.length + 2),
        be16(p[0]! >> 4 === 4 ? 0x21 : 0x57),
        p,
      ),
  },
  'LLC and SNAP': {
    linkType: 1,
    wrap: (p) => concat(new Uint8Array(12), be16(8 + p.length), Uint8Array.of(0xaa, 0xaa, 3, 0, 0, 0), etherType(p), p),
  },
  'cooked v1': { linkType: 113, wrap: (p) => concat(new Uint8Array(14), etherType(p), p) },
  'cooked v2': { linkType: 276, wrap: (p) => concat(etherType(p), new Uint8Array(18), p) },
  raw: { linkType: 101, wrap: (p) => p },
  'raw, BSD': { linkType: 12, wrap: (p) => p },
  'loopback, little-endian': {
    linkType: 0,
    wrap: (p) => concat(p[0]! >> 4 === 4 ? Uint8Array.of(2, 0, 0, 0) : Uint8Array.of(30, 0, 0, 0), p),
  },
  'loopback, big-endian': {
    linkType: 0,
    wrap: (p) => concat(p[0]! >> 4 === 4 ? Uint8Array.of(0, 0, 0, 2) : Uint8Array.of(0, 0, 0, 28), p),
  },
  'OpenBSD loopback': {
    linkType: 108,
    wrap: (p) => concat(p[0]! >> 4 === 4 ? Uint8Array.of(0, 0, 0, 2) : Uint8Array.of(0, 0, 0, 24), p),
  },
};

function etherType(packet: Uint8Array): Uint8Array {
  return be16(packet[0]! >> 4 === 4 ? 0x0800 : 0x86dd);
}
