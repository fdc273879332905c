/** Inner packets that can be told apart: ICMP echoes whose number is in them, and whose every byte follows from it. */

const IP_HEADER = 20;
const ICMP_HEADER = 8;
/** Headers and the number. */
export const PING_MIN = IP_HEADER + ICMP_HEADER + 4;

const ECHO_REQUEST = 8;
const ECHO_REPLY = 0;

/** Room for the longest one. */
const EXPECTED = new Uint8Array(65_535);

export interface PingPacket {
  readonly id: number;
  readonly isReply: boolean;
  readonly from: number;
  readonly to: number;
}

/**
 * @param from host numbers, 0–255: addresses are 10.0.0.(n + 1)
 * @param length bytes, at least PING_MIN
 * @param fragment marks it as the first of several fragments, which records tell apart (DESIGN 3)
 */
export function writePing(into: Uint8Array, offset: number, ping: PingPacket, length: number, fragment = false): void {
  into.fill(0, offset, offset + IP_HEADER + ICMP_HEADER);
  into[offset] = 0x45;
  into[offset + 2] = length >> 8;
  into[offset + 3] = length;
  into[offset + 4] = ping.id >> 8;
  into[offset + 5] = ping.id;
  if (fragment) into[offset + 6] = 0x20;
  into[offset + 8] = 64;
  into[offset + 9] = 1;
  into.set([10, 0, 0, ping.from + 1], offset + 12);
  into.set([10, 0, 0, ping.to + 1], offset + 16);
  into[offset + IP_HEADER] = ping.isReply ? ECHO_REPLY : ECHO_REQUEST;
  const body = offset + IP_HEADER + ICMP_HEADER;
  for (let i = 0; i < 4; i++) into[body + i] = ping.id >>> (24 - 8 * i);
  for (let i = body + 4; i < offset + length; i++) into[i] = filler(ping.id, i - body);
}

/** The ping that lies there, or null when it is not one that was written here, byte for byte. */
export function readPing(bytes: Uint8Array, offset: number, length: number): PingPacket | null {
  if (length < PING_MIN || length > EXPECTED.length) return null;
  const body = offset + IP_HEADER + ICMP_HEADER;
  const id = ((bytes[body]! << 24) | (bytes[body + 1]! << 16) | (bytes[body + 2]! << 8) | bytes[body + 3]!) >>> 0;
  const isReply = bytes[offset + IP_HEADER] === ECHO_REPLY;
  const ping = { id, isReply, from: bytes[offset + 15]! - 1, to: bytes[offset + 19]! - 1 };
  const expected = EXPECTED.subarray(0, length);
  writePing(expected, 0, ping, length, (bytes[offset + 6]! & 0x20) !== 0);
  for (let i = 0; i < length; i++) if (bytes[offset + i] !== expected[i]) return null;
  return ping;
}

/** Looks like anything, record headers included, as ciphertext does not. */
function filler(id: number, i: number): number {
  return (id * 31 + i * (i & 7)) & 0xff;
}
