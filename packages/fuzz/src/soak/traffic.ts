import { noise } from '../arbitraries/bytes.js';
import { internetChecksum } from '../arbitraries/packets.js';

/** Echo requests between 10.0.0.x addresses whose every byte follows from their number, so that each byte of a reply can be checked (RFC 792). */

const HEADERS = 28;
/** behind the headers: the number, and a checksum (FNV-1a) of everything behind it */
const PREFIX = 8;
export const LENGTH_MIN = HEADERS + PREFIX;

export function request(from: number, to: number, number: number, length: number): Uint8Array {
  const out = new Uint8Array(length);
  out.set([0x45, 0, length >> 8, length & 255, 0, 0, 0x40, 0, 64, 1, 0, 0, 10, 0, 0, from, 10, 0, 0, to, 8, 0, 0, 0]);
  out.set([from, 0, (number >> 8) & 255, number & 255], 24);
  out.set(noise(length - LENGTH_MIN, number), LENGTH_MIN);
  const view = new DataView(out.buffer);
  view.setUint32(HEADERS, number);
  view.setUint32(HEADERS + 4, fnv1a(out.subarray(LENGTH_MIN)));
  view.setUint16(10, internetChecksum([out.subarray(0, 20)]));
  view.setUint16(22, internetChecksum([out.subarray(20)]));
  return out;
}

/** What a reply is to: `number` -1 when it is none. `intact` says whether all its bytes are those that were sent. */
export function readReply(packet: Uint8Array): { number: number; intact: boolean } {
  if (packet.length < LENGTH_MIN || packet[9] !== 1 || packet[20] !== 0) return { number: -1, intact: false };
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const rest = packet.subarray(LENGTH_MIN);
  const intact =
    view.getUint32(HEADERS + 4) === fnv1a(rest) &&
    internetChecksum([packet.subarray(0, 20)]) === 0 &&
    internetChecksum([packet.subarray(20)]) === 0;
  return { number: view.getUint32(HEADERS), intact };
}

function fnv1a(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
