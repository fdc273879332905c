/**
 * TCP/IPv4 segments for tests, written and read in the plainest way, apart from the code under test.
 */
export interface Seg {
  src: number;
  dst: number;
  seq: number;
  ack: number;
  flags: string;
  window: number;
  data: Uint8Array;
  mss?: number;
  scale?: number;
  sackPermitted?: boolean;
  sack?: [number, number][];
}

const FLAGS = 'FSRPA';

/** The Internet checksum, word by word. */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
    if (sum > 0xffff) sum = (sum & 0xffff) + 1;
  }
  return ~sum & 0xffff;
}

export function ipv4(
  from: readonly number[],
  to: readonly number[],
  protocol: number,
  payload: Uint8Array,
): Uint8Array {
  const packet = new Uint8Array(20 + payload.length);
  const view = new DataView(packet.buffer);
  packet.set([0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0, ...from, ...to]);
  view.setUint16(2, packet.length);
  view.setUint16(10, checksum(packet.subarray(0, 20)));
  packet.set(payload, 20);
  return packet;
}

/** The checksum of a TCP, UDP or ICMPv6 payload with its pseudo header. */
export function transportChecksum(
  from: ArrayLike<number>,
  to: ArrayLike<number>,
  protocol: number,
  payload: Uint8Array,
): number {
  const pseudo =
    from.length === 4
      ? [0, protocol, payload.length >> 8, payload.length & 255]
      : [0, 0, payload.length >> 8, payload.length & 255, 0, 0, 0, protocol];
  return checksum(Uint8Array.from([...Array.from(from), ...Array.from(to), ...pseudo, ...payload]));
}

export function tcpPacket(from: readonly number[], to: readonly number[], seg: Partial<Seg>): Uint8Array {
  const options: number[] = [];
  if (seg.mss !== undefined) options.push(2, 4, seg.mss >> 8, seg.mss & 255);
  if (seg.scale !== undefined) options.push(3, 3, seg.scale);
  if (seg.sackPermitted) options.push(4, 2);
  if (seg.sack !== undefined && seg.sack.length > 0) {
    options.push(5, 2 + 8 * seg.sack.length);
    for (const edge of seg.sack.flat())
      options.push((edge >>> 24) & 255, (edge >>> 16) & 255, (edge >>> 8) & 255, edge & 255);
  }
  while (options.length % 4 !== 0) options.push(1);
  const data = seg.data ?? new Uint8Array(0);
  const header = 20 + options.length;
  const bytes = new Uint8Array(header + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, seg.src ?? 0);
  view.setUint16(2, seg.dst ?? 0);
  view.setUint32(4, (seg.seq ?? 0) >>> 0);
  view.setUint32(8, (seg.ack ?? 0) >>> 0);
  view.setUint8(12, (header / 4) << 4);
  view.setUint8(
    13,
    [...(seg.flags ?? '')].reduce((bits, flag) => bits | (1 << FLAGS.indexOf(flag)), 0),
  );
  view.setUint16(14, seg.window ?? 0);
  bytes.set(options, 20);
  bytes.set(data, header);
  view.setUint16(16, transportChecksum(from, to, 6, bytes));
  return ipv4(from, to, 6, bytes);
}

/** Reads a TCP/IPv4 packet; throws when a checksum or a length is wrong. */
export function readTcp(packet: Uint8Array): Seg {
  if (packet[0] !== 0x45 || packet[9] !== 6) throw new Error('not TCP over IPv4 without options');
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  if (view.getUint16(2) !== packet.length) throw new Error('IP length');
  if (checksum(packet.subarray(0, 20)) !== 0) throw new Error('IP checksum');
  const bytes = packet.subarray(20);
  if (transportChecksum(packet.subarray(12, 16), packet.subarray(16, 20), 6, bytes) !== 0)
    throw new Error('TCP checksum');
  const header = (bytes[12]! >> 4) * 4;
  const seg: Seg = {
    src: view.getUint16(20),
    dst: view.getUint16(22),
    seq: view.getUint32(24),
    ack: view.getUint32(28),
    flags: [...FLAGS].filter((_, i) => ((bytes[13]! >> i) & 1) === 1).join(''),
    window: view.getUint16(34),
    data: bytes.slice(header),
  };
  for (let at = 20; at < header;) {
    const kind = bytes[at]!;
    if (kind === 0) break;
    if (kind === 1) {
      at++;
      continue;
    }
    if (kind === 2) seg.mss = view.getUint16(20 + at + 2);
    else if (kind === 3) seg.scale = bytes[at + 2]!;
    else if (kind === 4) seg.sackPermitted = true;
    else if (kind === 5) {
      seg.sack = [];
      for (let i = at + 2; i < at + bytes[at + 1]!; i += 8)
        seg.sack.push([view.getUint32(20 + i), view.getUint32(20 + i + 4)]);
    }
    at += bytes[at + 1]!;
  }
  return seg;
}
