import { internetChecksum } from '../arbitraries/packets.js';

/** Segmentation as the kernel does it (net/ipv4/tcp_offload.c, udp_offload.c), plainly: every segment is a new array. */

export interface SuperPacket {
  readonly packet: Uint8Array;
  /** payload bytes of each segment but the last; 0 for a packet that is whole as it is */
  readonly segmentSize: number;
}

/** The packets that a super-packet stands for. No IPv4 options, no IPv6 extension headers. */
export function cutUp({ packet, segmentSize }: SuperPacket): Uint8Array[] {
  if (segmentSize === 0) return [packet];
  const v4 = packet[0]! >> 4 === 4;
  const ip = v4 ? 20 : 40;
  const tcp = (v4 ? packet[9] : packet[6]) === 6;
  const headers = ip + (tcp ? (packet[ip + 12]! >> 4) * 4 : 8);
  const out: Uint8Array[] = [];
  for (let from = headers; from < packet.length; from += segmentSize) {
    const payload = packet.subarray(from, Math.min(packet.length, from + segmentSize));
    const segment = new Uint8Array(headers + payload.length);
    segment.set(packet.subarray(0, headers));
    segment.set(payload, headers);
    const isFirst = from === headers;
    const isLast = from + segmentSize >= packet.length;
    const view = new DataView(segment.buffer);
    if (v4) {
      view.setUint16(2, segment.length);
      view.setUint16(4, (new DataView(packet.buffer, packet.byteOffset).getUint16(4) + out.length) & 0xffff);
      view.setUint16(10, 0);
      view.setUint16(10, internetChecksum([segment.subarray(0, 20)]));
    } else view.setUint16(4, segment.length - 40);
    if (tcp) {
      view.setUint32(ip + 4, (view.getUint32(ip + 4) + from - headers) >>> 0);
      if (!isLast) segment[ip + 13]! &= 0xff - 0x01 - 0x08;
      if (!isFirst) segment[ip + 13]! &= 0xff - 0x80;
    } else view.setUint16(ip + 4, segment.length - ip);
    fixTransport(segment, ip, tcp);
    out.push(segment);
  }
  return out;
}

/** Puts the right TCP or UDP checksum into a packet. */
export function fixTransport(packet: Uint8Array, ip: number, tcp: boolean): void {
  const at = ip + (tcp ? 16 : 6);
  packet.set([0, 0], at);
  const length = packet.length - ip;
  const addresses = ip === 20 ? packet.subarray(12, 20) : packet.subarray(8, 40);
  const pseudo = [
    ...addresses,
    length >>> 24,
    (length >> 16) & 255,
    (length >> 8) & 255,
    length & 255,
    0,
    0,
    0,
    tcp ? 6 : 17,
  ];
  const sum = internetChecksum([pseudo, packet.subarray(ip)]);
  packet.set(sum === 0 && !tcp ? [0xff, 0xff] : [sum >> 8, sum & 255], at);
}
