import { Slab } from '../../../src/slab/slab.js';

/** Slow and obvious: packets made byte by byte, and a segmenter that copies. Nothing here is shared with the code under test. */

export interface PacketShape {
  version: 4 | 6;
  tcp: boolean;
  source: number;
  target: number;
  sourcePort: number;
  targetPort: number;
  payload: Uint8Array;
  id?: number;
  tos?: number;
  ttl?: number;
  dontFragment?: boolean;
  seq?: number;
  ack?: number;
  flags?: number;
  window?: number;
  /** multiple of 4 bytes */
  options?: Uint8Array;
}

export interface Virtio {
  flags: number;
  gsoType: number;
  hdrLen: number;
  gsoSize: number;
  csumStart: number;
  csumOffset: number;
}

export const PLAIN: Virtio = { flags: 0, gsoType: 0, hdrLen: 0, gsoSize: 0, csumStart: 0, csumOffset: 0 };

/** RFC 1071, word by word in network order. */
export function slowChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return ~sum & 0xffff;
}

function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8;
  bytes[at + 1] = value & 0xff;
}

function put32(bytes: Uint8Array, at: number, value: number): void {
  put16(bytes, at, value >>> 16);
  put16(bytes, at + 2, value & 0xffff);
}

function get16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

function pseudoHeader(packet: Uint8Array, ipLength: number, protocol: number): Uint8Array {
  const addresses = packet[0]! >> 4 === 4 ? packet.slice(12, 20) : packet.slice(8, 40);
  const tail = new Uint8Array(8);
  put32(tail, 0, packet.length - ipLength);
  tail[7] = protocol;
  return Uint8Array.from([...addresses, ...tail]);
}

/** Fills in all checksums of a whole packet without IPv6 extension headers. */
export function fixChecksums(packet: Uint8Array): Uint8Array {
  const v4 = packet[0]! >> 4 === 4;
  const ipLength = v4 ? (packet[0]! & 0xf) * 4 : 40;
  if (v4) {
    put16(packet, 10, 0);
    put16(packet, 10, slowChecksum(packet.slice(0, ipLength)));
  }
  const protocol = v4 ? packet[9]! : packet[6]!;
  const at = ipLength + (protocol === 6 ? 16 : 6);
  put16(packet, at, 0);
  const sum = slowChecksum(Uint8Array.from([...pseudoHeader(packet, ipLength, protocol), ...packet.slice(ipLength)]));
  put16(packet, at, sum === 0 && protocol === 17 ? 0xffff : sum);
  return packet;
}

/** One packet with right checksums. */
export function makePacket(shape: PacketShape): Uint8Array {
  const options = shape.tcp ? (shape.options ?? new Uint8Array(0)) : new Uint8Array(0);
  const ipLength = shape.version === 4 ? 20 : 40;
  const transportLength = shape.tcp ? 20 + options.length : 8;
  const packet = new Uint8Array(ipLength + transportLength + shape.payload.length);
  if (shape.version === 4) {
    packet[0] = 0x45;
    packet[1] = shape.tos ?? 0;
    put16(packet, 2, packet.length);
    put16(packet, 4, shape.id ?? 0);
    put16(packet, 6, (shape.dontFragment ?? true) ? 0x4000 : 0);
    packet[8] = shape.ttl ?? 64;
    packet[9] = shape.tcp ? 6 : 17;
    packet.set([10, 0, 0, shape.source], 12);
    packet.set([10, 0, 0, shape.target], 16);
  } else {
    packet[0] = 0x60 | ((shape.tos ?? 0) >> 4);
    packet[1] = ((shape.tos ?? 0) & 0xf) << 4;
    put16(packet, 4, packet.length - 40);
    packet[6] = shape.tcp ? 6 : 17;
    packet[7] = shape.ttl ?? 64;
    packet.set([0xfd, 1], 8);
    packet[23] = shape.source;
    packet.set([0xfd, 1], 24);
    packet[39] = shape.target;
  }
  const t = ipLength;
  put16(packet, t, shape.sourcePort);
  put16(packet, t + 2, shape.targetPort);
  if (shape.tcp) {
    put32(packet, t + 4, shape.seq ?? 0);
    put32(packet, t + 8, shape.ack ?? 0);
    packet[t + 12] = (transportLength / 4) << 4;
    packet[t + 13] = shape.flags ?? 0x10;
    put16(packet, t + 14, shape.window ?? 1000);
    packet.set(options, t + 20);
  } else {
    put16(packet, t + 4, 8 + shape.payload.length);
  }
  packet.set(shape.payload, ipLength + transportLength);
  return fixChecksums(packet);
}

/** As the kernel hands over a packet whose checksum it leaves to us: the field holds the pseudo header's sum. */
export function makePartial(packet: Uint8Array): { virtio: Virtio; packet: Uint8Array } {
  const out = packet.slice();
  const v4 = out[0]! >> 4 === 4;
  const csumStart = v4 ? (out[0]! & 0xf) * 4 : 40;
  const protocol = v4 ? out[9]! : out[6]!;
  const csumOffset = protocol === 6 ? 16 : 6;
  put16(out, csumStart + csumOffset, ~slowChecksum(pseudoHeader(out, csumStart, protocol)) & 0xffff);
  return { virtio: { ...PLAIN, flags: 1, csumStart, csumOffset }, packet: out };
}

/** As the kernel hands over a super-packet of `packet`'s payload in segments of `gsoSize`. */
export function makeSuper(packet: Uint8Array, gsoSize: number): { virtio: Virtio; packet: Uint8Array } {
  const partial = makePartial(packet);
  const v4 = packet[0]! >> 4 === 4;
  const tcp = partial.virtio.csumOffset === 16;
  const start = partial.virtio.csumStart;
  const hdrLen = start + (tcp ? (packet[start + 12]! >> 4) * 4 : 8);
  return {
    packet: partial.packet,
    virtio: { ...partial.virtio, gsoType: tcp ? (v4 ? 1 : 4) : 5, hdrLen, gsoSize },
  };
}

/** What a super-packet (or plain one) stands for: the obvious segmenter. */
export function slowSegment(virtio: Virtio, packet: Uint8Array): Uint8Array[] {
  if ((virtio.flags & 1) !== 0 && virtio.gsoType === 0) return [fixChecksums(packet.slice())];
  if (virtio.gsoType === 0) return [packet.slice()];
  const v4 = packet[0]! >> 4 === 4;
  const start = virtio.csumStart;
  const tcp = virtio.csumOffset === 16;
  const headers = packet.slice(0, start + (tcp ? (packet[start + 12]! >> 4) * 4 : 8));
  const payload = packet.slice(headers.length);
  const out: Uint8Array[] = [];
  for (let at = 0, k = 0; at < payload.length; at += virtio.gsoSize, k++) {
    const part = payload.slice(at, at + virtio.gsoSize);
    const segment = Uint8Array.from([...headers, ...part]);
    if (v4) {
      put16(segment, 2, segment.length);
      put16(segment, 4, (get16(headers, 4) + k) & 0xffff);
    } else {
      put16(segment, 4, segment.length - 40);
    }
    if (tcp) {
      const seq = get16(headers, start + 4) * 65536 + get16(headers, start + 6);
      put32(segment, start + 4, (seq + at) % 2 ** 32);
      if (at + virtio.gsoSize < payload.length) segment[start + 13]! &= ~0x09;
      if (k > 0) segment[start + 13]! &= ~0x80;
    } else {
      put16(segment, start + 4, 8 + part.length);
    }
    out.push(fixChecksums(segment));
  }
  return out;
}

export function virtioBytes(virtio: Virtio): Uint8Array {
  const bytes = new Uint8Array(10);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, virtio.flags);
  view.setUint8(1, virtio.gsoType);
  [virtio.hdrLen, virtio.gsoSize, virtio.csumStart, virtio.csumOffset].forEach((value, i) =>
    view.setUint16(2 + 2 * i, value, true),
  );
  return bytes;
}

export function parseVirtio(bytes: Uint8Array): Virtio {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const u16 = (at: number): number => view.getUint16(at, true);
  return {
    flags: bytes[0]!,
    gsoType: bytes[1]!,
    hdrLen: u16(2),
    gsoSize: u16(4),
    csumStart: u16(6),
    csumOffset: u16(8),
  };
}

/** A slab with `parts` laid one after the other from `offset` on. */
export function slabOf(offset: number, ...parts: Uint8Array[]): { slab: Slab; length: number } {
  const bytes = Uint8Array.from(parts.flatMap((part) => [...part]));
  const slab = Slab.plain(offset + bytes.length + 4096);
  slab.bytes.fill(0xa5);
  slab.bytes.set(bytes, offset);
  return { slab, length: bytes.length };
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
