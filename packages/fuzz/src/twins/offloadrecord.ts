import { internetChecksum } from '../arbitraries/packets.js';

/** What makes an offload record, plainly: the header that the packet asks for is written anew, and has to be the one that is there. */

/** @returns the bytes of virtio-net header and packet, 0 when the plaintext is no offload record */
export function recordLength(plaintext: Uint8Array): number {
  const said = plaintext.subarray(0, 10);
  const space = plaintext.subarray(10);
  if (plaintext.length > 65_543 - 8 - 32 || space.length < 40) return 0;
  const v4 = space[0]! >> 4 === 4;
  if (!v4 && space[0]! >> 4 !== 6) return 0;
  const length = v4 ? big(space, 2) : big(space, 4) + 40;
  if (length > space.length || space.length - length > 15) return 0;
  const packet = space.subarray(0, length);
  const ip = v4 ? 20 : 40;
  if (packet.length < ip + 20) return 0;
  if (v4) {
    const isPlain = packet[0] === 0x45 && packet[9] === 6 && internetChecksum([packet.subarray(0, 20)]) === 0;
    const isFragment = (packet[6]! & 0xbf) !== 0 || packet[7] !== 0;
    if (!isPlain || isFragment) return 0;
  } else if (packet[6] !== 6) return 0;
  const tcp = packet.subarray(ip);
  const [fin, syn, rst, , ack, urg, , cwr] = Array.from({ length: 8 }, (_, bit) => ((tcp[13]! >> bit) & 1) === 1);
  void fin;
  if (syn || rst || urg || !ack || tcp[12]! % 16 !== 0 || tcp[12]! < 5 * 16) return 0;
  const headers = ip + (tcp[12]! / 16) * 4;
  const segment = said[4]! + said[5]! * 256;
  let segments = 0;
  for (let left = packet.length - headers; left > 0 && segment > 0; left -= segment) segments++;
  if (segments < 2 || segments > 128) return 0;
  const header = [1, (v4 ? 1 : 4) + (cwr ? 0x80 : 0), headers, 0, said[4], said[5], ip, 0, 16, 0];
  if (header.some((byte, i) => byte !== said[i])) return 0;
  const addresses = v4 ? packet.subarray(12, 20) : packet.subarray(8, 40);
  const pseudo = [...addresses, 0, 0, tcp.length >> 8, tcp.length & 255, 0, 6];
  return big(tcp, 16) === 0xffff - internetChecksum([pseudo]) ? 10 + length : 0;
}

const big = (bytes: Uint8Array, at: number): number => bytes[at]! * 256 + bytes[at + 1]!;
