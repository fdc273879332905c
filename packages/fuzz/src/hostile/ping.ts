import { internetChecksum } from '../arbitraries/packets.js';

/** Echo requests and replies between 10.0.0.x addresses (RFC 792). */

export function echoRequest(from: number, to: number, sequence: number, length = 84): Uint8Array {
  const out = new Uint8Array(length);
  out.set([0x45, 0, length >> 8, length & 255, 0, 0, 0x40, 0, 64, 1, 0, 0, 10, 0, 0, from, 10, 0, 0, to, 8, 0, 0, 0]);
  out.set([from, 0, sequence >> 8, sequence & 255], 24);
  fix(out);
  return out;
}

/** Null for anything but a request. */
export function echoReply(request: Uint8Array): Uint8Array | null {
  if (request.length < 28 || request[0] !== 0x45 || request[9] !== 1 || request[20] !== 8) return null;
  const out = request.slice();
  out.set(request.subarray(16, 20), 12);
  out.set(request.subarray(12, 16), 16);
  out[20] = 0;
  fix(out);
  return out;
}

/** The sequence number of a reply, or -1. */
export function sequenceOf(packet: Uint8Array): number {
  return packet.length < 28 || packet[9] !== 1 || packet[20] !== 0 ? -1 : (packet[26]! << 8) | packet[27]!;
}

function fix(packet: Uint8Array): void {
  packet.set([0, 0], 10);
  packet.set([0, 0], 22);
  const [ip, icmp] = [internetChecksum([packet.subarray(0, 20)]), internetChecksum([packet.subarray(20)])];
  packet.set([ip >> 8, ip & 255], 10);
  packet.set([icmp >> 8, icmp & 255], 22);
}
