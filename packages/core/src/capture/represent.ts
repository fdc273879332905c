import { parseIp } from '../address/ip.js';

/** A DF bit, and a time to live that nobody takes for a real one's (RFC 791). */
const DONT_FRAGMENT = 0x4000;
const TIME_TO_LIVE = 64;
const UDP = 17;
const UDP_HEADER = 8;

/** The longest UDP payload that an IP packet of that family can say the length of. */
export function payloadMax(family: 4 | 6): number {
  return family === 4 ? 65535 - 20 - UDP_HEADER : 65535 - UDP_HEADER;
}

/** A UDP packet to be made: what a message that came in a TCP record would have looked like over UDP. */
export interface Datagram {
  /** numeric, both of one family */
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/**
 * Writes IP and UDP headers around a message: lengths and checksums as they would be on the wire.
 * @param payload the message; when `length` is more than that, the rest is not known and the UDP checksum is left out
 * @returns the packet as far as it is known, or null when it cannot be (addresses of two families, or too long)
 */
export function representAsUdp(around: Datagram, payload: Uint8Array, length = payload.length): Uint8Array | null {
  const source = parseIp(around.source);
  const destination = parseIp(around.destination);
  if (source === null || destination === null || source.length !== destination.length) return null;
  const family = source.length === 4 ? 4 : 6;
  if (length > payloadMax(family)) return null;
  const header = family === 4 ? 20 : 40;
  const out = new Uint8Array(header + UDP_HEADER + payload.length);
  const view = new DataView(out.buffer);
  const udpLength = UDP_HEADER + length;
  if (family === 4) {
    out[0] = 0x45;
    view.setUint16(2, header + udpLength);
    view.setUint16(6, DONT_FRAGMENT);
    out[8] = TIME_TO_LIVE;
    out[9] = UDP;
    out.set(source, 12);
    out.set(destination, 16);
    view.setUint16(10, checksum(sum(out, 0, 20, 0)));
  } else {
    out[0] = 0x60;
    view.setUint16(4, udpLength);
    out[6] = UDP;
    out[7] = TIME_TO_LIVE;
    out.set(source, 8);
    out.set(destination, 24);
  }
  view.setUint16(header, around.sourcePort);
  view.setUint16(header + 2, around.destinationPort);
  view.setUint16(header + 4, udpLength);
  out.set(payload, header + UDP_HEADER);
  if (payload.length === length) {
    // Pseudo-header: addresses, protocol, length (RFC 768, RFC 8200 §8.1). A sum of zero is sent as all ones.
    const addresses = sum(out, family === 4 ? 12 : 8, header, UDP + udpLength);
    view.setUint16(header + 6, checksum(sum(out, header, out.length, addresses)) || 0xffff);
  }
  return out;
}

/** Adds up 16-bit words, big-endian (RFC 1071). */
function sum(bytes: Uint8Array, from: number, to: number, start: number): number {
  let total = start;
  let at = from;
  for (; at + 1 < to; at += 2) total += (bytes[at]! << 8) | bytes[at + 1]!;
  return at < to ? total + (bytes[at]! << 8) : total;
}

function checksum(total: number): number {
  let folded = total;
  while (folded > 0xffff) folded = Math.floor(folded / 65536) + (folded & 0xffff);
  return ~folded & 0xffff;
}
