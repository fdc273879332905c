import fc from 'fast-check';
import { noise } from './bytes.js';

/** IP packets, written field by field from the RFCs, apart from the code under test. */

export interface PacketShape {
  readonly version: 4 | 6;
  readonly protocol: 'tcp' | 'udp' | 'echo' | 'other';
  /** the last byte of each address */
  readonly from: number;
  readonly to: number;
  readonly sourcePort: number;
  readonly targetPort: number;
  readonly payload: Uint8Array;
  /** IPv4 identification */
  readonly id: number;
  readonly seq: number;
  readonly ack: number;
  /** TCP flags */
  readonly flags: number;
  readonly window: number;
  /** of TCP; a multiple of 4 bytes */
  readonly options: Uint8Array;
  readonly badChecksum: boolean;
}

const u32 = fc.oneof(fc.constantFrom(0, 0xffff_ffff, 0x7fff_ffff, 0xffff_ff00), fc.nat({ max: 0xffff_ffff }));

export const payload: fc.Arbitrary<Uint8Array> = fc
  .tuple(fc.oneof(fc.nat({ max: 40 }), fc.nat({ max: 1400 })), fc.nat())
  .map(([length, seed]) => noise(length, seed));

export const packetShape: fc.Arbitrary<PacketShape> = fc.record(
  {
    version: fc.constantFrom(4 as const, 6 as const),
    protocol: fc.constantFrom(
      'tcp' as const,
      'tcp' as const,
      'tcp' as const,
      'udp' as const,
      'echo' as const,
      'other' as const,
    ),
    from: fc.integer({ min: 1, max: 3 }),
    to: fc.integer({ min: 1, max: 3 }),
    sourcePort: fc.constantFrom(1, 1000, 65_535),
    targetPort: fc.constantFrom(7, 80, 443),
    payload,
    id: fc.constantFrom(0, 1, 0xfffe, 0xffff),
    seq: u32,
    ack: u32,
    flags: fc.oneof(fc.constantFrom(0x10, 0x18, 0x02, 0x11, 0x04, 0x12), fc.nat({ max: 255 })),
    window: fc.constantFrom(0, 1, 1000, 65_535),
    options: fc.constantFrom(
      new Uint8Array(0),
      Uint8Array.of(2, 4, 5, 0xb4),
      Uint8Array.of(1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2),
      Uint8Array.of(2, 4, 5, 0xb4, 1, 3, 3, 7, 4, 2, 0, 0),
      Uint8Array.of(2, 0, 1, 1),
    ),
    badChecksum: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  },
  { noNullPrototype: true },
);

export function address(version: 4 | 6, last: number): number[] {
  return version === 4 ? [10, 0, 0, last] : [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
}

/** RFC 1071, one word at a time. */
export function internetChecksum(parts: readonly ArrayLike<number>[]): number {
  const all = parts.flatMap((part) => Array.from(part));
  let sum = 0;
  for (let i = 0; i < all.length; i += 2) {
    sum += all[i]! * 256 + (all[i + 1] ?? 0);
    if (sum >= 65_536) sum = (sum % 65_536) + 1;
  }
  return 0xffff - sum;
}

const PROTOCOLS = { tcp: 6, udp: 17, echo: 1, other: 99 } as const;

export function writePacket(shape: PacketShape): Uint8Array {
  const { version } = shape;
  const [source, target] = [address(version, shape.from), address(version, shape.to)];
  const protocol = shape.protocol === 'echo' && version === 6 ? 58 : PROTOCOLS[shape.protocol];
  const body = transport(shape);
  const at = checksumField(shape);
  if (at >= 0) {
    const pseudo =
      version === 4 && shape.protocol === 'echo' ? [] : pseudoHeader(source, target, protocol, body.length);
    let sum = internetChecksum([pseudo, body]);
    if (sum === 0 && shape.protocol === 'udp') sum = 0xffff;
    if (shape.badChecksum) sum ^= 0x0101;
    body.set([sum >> 8, sum & 255], at);
  }
  const header =
    version === 4 ? ipv4(shape, body.length, protocol, source, target) : ipv6(body.length, protocol, source, target);
  return Uint8Array.from([...header, ...body]);
}

function pseudoHeader(source: number[], target: number[], protocol: number, length: number): number[] {
  return [
    ...source,
    ...target,
    length >>> 24,
    (length >> 16) & 255,
    (length >> 8) & 255,
    length & 255,
    0,
    0,
    0,
    protocol,
  ];
}

function ipv4(shape: PacketShape, length: number, protocol: number, source: number[], target: number[]): Uint8Array {
  const total = 20 + length;
  const header = [0x45, 0, total >> 8, total & 255, shape.id >> 8, shape.id & 255, 0x40, 0, 64, protocol, 0, 0];
  const out = Uint8Array.from([...header, ...source, ...target]);
  const sum = internetChecksum([out]);
  out.set([sum >> 8, sum & 255], 10);
  return out;
}

function ipv6(length: number, protocol: number, source: number[], target: number[]): number[] {
  return [0x60, 0, 0, 0, length >> 8, length & 255, protocol, 64, ...source, ...target];
}

function checksumField({ protocol }: PacketShape): number {
  return protocol === 'tcp' ? 16 : protocol === 'udp' ? 6 : protocol === 'echo' ? 2 : -1;
}

function transport(shape: PacketShape): Uint8Array {
  const out = new DataView(new ArrayBuffer(headerOf(shape) + shape.payload.length));
  const bytes = new Uint8Array(out.buffer);
  bytes.set(shape.payload, headerOf(shape));
  if (shape.protocol === 'other') return bytes;
  if (shape.protocol === 'echo') {
    bytes[0] = shape.version === 4 ? 8 : 128;
    out.setUint16(4, shape.sourcePort);
    out.setUint16(6, shape.id);
    return bytes;
  }
  out.setUint16(0, shape.sourcePort);
  out.setUint16(2, shape.targetPort);
  if (shape.protocol === 'udp') {
    out.setUint16(4, bytes.length);
    return bytes;
  }
  out.setUint32(4, shape.seq);
  out.setUint32(8, shape.ack);
  bytes[12] = (20 + shape.options.length) << 2;
  bytes[13] = shape.flags;
  out.setUint16(14, shape.window);
  bytes.set(shape.options, 20);
  return bytes;
}

function headerOf({ protocol, options }: PacketShape): number {
  return protocol === 'tcp' ? 20 + options.length : protocol === 'other' ? 0 : 8;
}
