import { finish, sum, swap16 } from './checksum.js';
import { IPV4_HEADER, IPV6_HEADER } from './ippacket.js';

/** What hosts send with (RFC 1700's recommended default; Linux's too). */
const HOP_LIMIT = 64;
const DONT_FRAGMENT = 0x4000;

/**
 * The IP header of all packets from one address to another with one protocol, summed once: per packet only the length, and what follows from
 * it, is written.
 */
export class IpHeader {
  readonly family: 4 | 6;
  /** bytes: 20 or 40, there are no options */
  readonly length: number;
  readonly #words: DataView;
  readonly #headerSum: number;
  readonly #pseudoSum: number;

  /** @param source 4 or 16 bytes, as many as `destination` */
  constructor(
    source: Uint8Array,
    destination: Uint8Array,
    readonly protocol: number,
  ) {
    this.family = source.length === 4 ? 4 : 6;
    this.length = this.family === 4 ? IPV4_HEADER : IPV6_HEADER;
    const bytes = new Uint8Array(this.length);
    const view = new DataView(bytes.buffer);
    if (this.family === 4) {
      bytes.set([0x45, 0, 0, 0, 0, 0, DONT_FRAGMENT >> 8, 0, HOP_LIMIT, protocol]);
      bytes.set(source, 12);
      bytes.set(destination, 16);
    } else {
      bytes.set([0x60, 0, 0, 0, 0, 0, protocol, HOP_LIMIT]);
      bytes.set(source, 8);
      bytes.set(destination, 24);
    }
    this.#words = view;
    this.#headerSum = sum(view, 0, this.length);
    this.#pseudoSum = sum(view, this.family === 4 ? 12 : 8, 2 * source.length) + swap16(protocol);
  }

  /** Writes the header of a packet with `payloadLength` bytes behind it, which must not be fragmented. */
  write(to: DataView, at: number, payloadLength: number): void {
    for (let i = 0; i < this.length; i += 4) to.setInt32(at + i, this.#words.getInt32(i));
    if (this.family === 4) {
      const total = payloadLength + IPV4_HEADER;
      to.setUint16(at + 2, total);
      to.setUint16(at + 10, finish(this.#headerSum + swap16(total)), true);
    } else {
      to.setUint16(at + 4, payloadLength);
    }
  }

  /** The same for a piece of a fragmented IPv4 packet, or for one that may be: identification and the flags and offset field are given. */
  writeFragment4(to: DataView, at: number, payloadLength: number, identification: number, fragment: number): void {
    this.write(to, at, payloadLength);
    to.setUint16(at + 4, identification);
    to.setUint16(at + 6, fragment);
    to.setUint16(at + 10, 0);
    to.setUint16(at + 10, finish(sum(to, at, IPV4_HEADER)), true);
  }

  /** Sum of the pseudo header for a payload of `length` bytes. */
  pseudoSum(length: number): number {
    return this.#pseudoSum + swap16(length);
  }
}
