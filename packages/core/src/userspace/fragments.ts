import type { IpHeader } from './ipheader.js';
import { IPV6_HEADER } from './ippacket.js';
import type { Slab } from '../slab/slab.js';
import type { Draw } from './draw.js';
import type { StackHost } from './native.js';

/** IPv4 flags and fragment offset field (RFC 791 §3.1). */
const MORE_FRAGMENTS = 0x2000;
/** IPv6 fragment header (RFC 8200 §4.5). */
const FRAGMENT_HEADER = 44;
const FRAGMENT_HEADER_LENGTH = 8;

/**
 * Sends packets that are not TCP, in pieces where they are longer than the tunnel's MTU. They are laid in `out`, the payload `header.length` behind
 * the beginning, and sent from there; pieces are put together in the second half of the slab.
 */
export class PacketSender {
  #identification: number;
  readonly #half: number;

  constructor(
    private readonly host: StackHost,
    private readonly out: Slab,
    private readonly mtu: number,
    draw: Draw,
  ) {
    this.#identification = draw.uint32();
    this.#half = out.size / 2;
  }

  /** Sends the `length` bytes of payload that lie in `out` behind room for the header. */
  send(header: IpHeader, length: number): void {
    if (header.length + length <= this.mtu) {
      header.write(this.out.view, 0, length);
      this.host.send(this.out, 0, header.length + length);
      return;
    }
    this.#identification = (this.#identification + 1) >>> 0;
    if (header.family === 4) this.#pieces4(header, length);
    else this.#pieces6(header, length);
  }

  #pieces4(header: IpHeader, length: number): void {
    const { bytes, view } = this.out;
    const step = (this.mtu - header.length) & ~7;
    for (let at = 0; at < length; at += step) {
      const piece = Math.min(step, length - at);
      const more = at + piece < length ? MORE_FRAGMENTS : 0;
      const from = header.length + at;
      bytes.copyWithin(this.#half + header.length, from, from + piece);
      header.writeFragment4(view, this.#half, piece, this.#identification & 0xffff, more | (at >> 3));
      this.host.send(this.out, this.#half, header.length + piece);
    }
  }

  #pieces6(header: IpHeader, length: number): void {
    const { bytes, view } = this.out;
    const before = IPV6_HEADER + FRAGMENT_HEADER_LENGTH;
    const step = (this.mtu - before) & ~7;
    for (let at = 0; at < length; at += step) {
      const piece = Math.min(step, length - at);
      const from = header.length + at;
      bytes.copyWithin(this.#half + before, from, from + piece);
      header.write(view, this.#half, piece + FRAGMENT_HEADER_LENGTH);
      view.setUint8(this.#half + 6, FRAGMENT_HEADER);
      const fragment = this.#half + IPV6_HEADER;
      view.setUint16(fragment, header.protocol << 8);
      view.setUint16(fragment + 2, at | (at + piece < length ? 1 : 0));
      view.setUint32(fragment + 4, this.#identification);
      this.host.send(this.out, this.#half, before + piece);
    }
  }
}
