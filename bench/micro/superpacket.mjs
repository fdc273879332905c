import { randomFillSync } from 'node:crypto';
import { GSO_TCPV4, NEEDS_CSUM, VIRTIO_HEADER } from '@wirestream/core/offload/virtio';

/** IPv4 and TCP with the timestamp option, as Linux sends bulk data. */
export const HEADERS = 20 + 32;
const SEGMENT = 1420 - HEADERS;
export const SEGMENTS = Math.floor((65_535 - HEADERS) / SEGMENT);
/** Bytes that one read from the TUN brings. */
export const LENGTH = VIRTIO_HEADER + HEADERS + SEGMENTS * SEGMENT;

/** What a TUN with offload gives for one large write of an application. */
export function superPacket() {
  const bytes = randomFillSync(new Uint8Array(LENGTH));
  const view = new DataView(bytes.buffer);
  bytes.set([NEEDS_CSUM, GSO_TCPV4]);
  view.setUint16(2, HEADERS, true);
  view.setUint16(4, SEGMENT, true);
  view.setUint16(6, 20, true);
  view.setUint16(8, 16, true);
  const ip = VIRTIO_HEADER;
  bytes.fill(0, ip, ip + HEADERS);
  bytes.set([0x45, 0], ip);
  view.setUint16(ip + 2, LENGTH - VIRTIO_HEADER);
  view.setUint16(ip + 6, 0x4000);
  bytes.set([64, 6], ip + 8);
  bytes.set([10, 0, 0, 1, 10, 0, 0, 2], ip + 12);
  const tcp = ip + 20;
  view.setUint16(tcp, 40_000);
  view.setUint16(tcp + 2, 5201);
  view.setUint32(tcp + 4, 0xffff_0000);
  bytes[tcp + 12] = (32 / 4) << 4;
  bytes[tcp + 13] = 0x10;
  view.setUint16(tcp + 14, 1000);
  // Two no-operations and a timestamp (RFC 7323).
  bytes.set([1, 1, 8, 10], tcp + 20);
  return bytes;
}
