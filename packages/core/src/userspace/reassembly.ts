import { finish, sum } from './checksum.js';
import { IPV6_HEADER, type IpPacket } from './ippacket.js';
import { Ranges } from './ranges.js';
import { Slab } from '../slab/slab.js';

/** Packets that may be in pieces at a time; a new one takes the place of the oldest. */
const PACKETS_MAX = 32;
/** ms for all pieces to come (Linux: net.ipv4.ipfrag_time; RFC 8200 §4.5 has 60) */
const TIMEOUT = 30_000;
/** Pieces that may be apart from each other at a time. */
const PIECES_MAX = 64;
/** Longest payload of a packet. */
const PAYLOAD_MAX = 65_535;

interface Assembly {
  readonly begunAt: number;
  payload: Uint8Array;
  readonly have: Ranges;
  /** of the whole payload; -1 until its last piece has come */
  length: number;
  /** of the first piece: what stands before the payload, without a fragment header */
  header: Uint8Array | null;
}

/** Puts fragments together (RFC 791 §3.2, RFC 8200 §4.5). Overlaps end a packet (RFC 5722, RFC 8504 §5.3). */
export class Reassembly {
  /** the packet that `add` completed, at offset 0 */
  readonly slab = Slab.plain(PAYLOAD_MAX + IPV6_HEADER + 64);
  #assemblies: Map<string, Assembly> = new Map();

  get size(): number {
    return this.#assemblies.size;
  }

  /** Takes a fragment. @returns the length of the packet that is whole now, or 0 */
  add(now: number, packet: IpPacket): number {
    this.#expire(now);
    const start = packet.fragmentOffset;
    const end = start + packet.payloadLength;
    const isLast = !packet.moreFragments;
    if (end > PAYLOAD_MAX || packet.payloadLength === 0 || (!isLast && packet.payloadLength % 8 !== 0)) return 0;
    const key = keyOf(packet);
    const assembly = this.#assemblies.get(key) ?? this.#begin(now, key);
    const overlaps = assembly.have.covered(start, end) > 0;
    const contradicts = (isLast && assembly.length >= 0) || (assembly.length >= 0 && end > assembly.length);
    if (overlaps || contradicts || (isLast && assembly.have.top > end) || !assembly.have.add(start, end)) {
      this.#assemblies.delete(key);
      return 0;
    }
    if (isLast) assembly.length = end;
    if (start === 0) assembly.header = headerOf(packet);
    place(assembly, packet, start, end);
    if (
      assembly.header === null ||
      assembly.length < 0 ||
      assembly.have.covered(0, assembly.length) < assembly.length
    ) {
      return 0;
    }
    this.#assemblies.delete(key);
    return this.#whole(assembly, assembly.header);
  }

  clear(): void {
    this.#assemblies.clear();
  }

  #begin(now: number, key: string): Assembly {
    for (const oldest of this.#assemblies.keys()) {
      if (this.#assemblies.size < PACKETS_MAX) break;
      this.#assemblies.delete(oldest);
    }
    const assembly = {
      begunAt: now,
      payload: new Uint8Array(4096),
      have: new Ranges(PIECES_MAX),
      length: -1,
      header: null,
    };
    this.#assemblies.set(key, assembly);
    return assembly;
  }

  /** They are in the order in which they began. */
  #expire(now: number): void {
    for (const [key, { begunAt }] of this.#assemblies) {
      if (now < begunAt + TIMEOUT) return;
      this.#assemblies.delete(key);
    }
  }

  #whole(assembly: Assembly, header: Uint8Array): number {
    const { bytes, view } = this.slab;
    const length = header.length + assembly.length;
    const isV4 = header[0]! >> 4 === 4;
    if (length > (isV4 ? PAYLOAD_MAX : PAYLOAD_MAX + IPV6_HEADER)) return 0;
    bytes.set(header);
    bytes.set(assembly.payload.subarray(0, assembly.length), header.length);
    if (isV4) {
      view.setUint16(2, length);
      view.setUint16(6, 0);
      view.setUint16(10, 0);
      view.setUint16(10, finish(sum(view, 0, header.length)), true);
    } else {
      view.setUint16(4, length - IPV6_HEADER);
    }
    return length;
  }
}

function place(assembly: Assembly, packet: IpPacket, start: number, end: number): void {
  if (end > assembly.payload.length) {
    const larger = new Uint8Array(Math.min(PAYLOAD_MAX, 2 * end));
    larger.set(assembly.payload);
    assembly.payload = larger;
  }
  const from = packet.view.byteOffset + packet.payload;
  assembly.payload.set(new Uint8Array(packet.view.buffer, from, end - start), start);
}

/** What stands before the payload. IPv6 extension headers in front of the fragment header are left out: they were for the way. */
function headerOf(packet: IpPacket): Uint8Array {
  const from = packet.view.byteOffset + packet.offset;
  const length = packet.version === 4 ? packet.payload - packet.offset : IPV6_HEADER;
  const header = new Uint8Array(packet.view.buffer, from, length).slice();
  if (packet.version === 6) header[6] = packet.protocol;
  return header;
}

function keyOf(packet: IpPacket): string {
  const { view, source, addressLength } = packet;
  let key = `${packet.identification} ${packet.version === 4 ? packet.protocol : ''}`;
  for (let i = 0; i < 2 * addressLength; i++) key += String.fromCharCode(view.getUint8(source + i));
  return key;
}
