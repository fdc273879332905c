import type { Slab } from '../../slab/slab.js';
import { finish, sum } from '../checksum.js';
import { IpHeader } from '../ipheader.js';
import { PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, type IpPacket } from '../ippacket.js';
import type { PacketSender } from '../fragments.js';
import type { ConnectFailure } from '../native.js';

export const ICMP_HEADER = 8;

/** Types (RFC 792, RFC 4443). */
export const Icmp4 = { echoReply: 0, unreachable: 3, echo: 8 } as const;
export const Icmp6 = { unreachable: 1, tooBig: 2, echo: 128, echoReply: 129 } as const;

/** Why something cannot be reached, with the code for each family (RFC 792, RFC 1812 §5.2.7.1, RFC 4443 §3.1). */
const CODES: Record<Unreachable, readonly [number, number]> = {
  'host-unreachable': [1, 3],
  'port-unreachable': [3, 4],
  prohibited: [13, 1],
};
export type Unreachable = 'host-unreachable' | 'port-unreachable' | 'prohibited';

/** Errors that a host sends, so many a second and so many at once (Linux: icmp_msgs_per_sec, icmp_msgs_burst). */
const RATE = 1_000;
const BURST = 50;
/** An error holds as much of the packet as fits into these (RFC 1812 §4.3.2.3, RFC 4443 §2.4). */
const ERROR_MAX_4 = 576;
const ERROR_MAX_6 = 1_280;

/** What an error is about, when the packet itself is gone: enough of its headers to find the flow. */
export interface Quoted {
  readonly protocol: number;
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** TCP */
  readonly sequence: number;
}

export function unreachableFor(failure: ConnectFailure): Unreachable | null {
  if (failure === 'refused') return 'port-unreachable';
  if (failure === 'unreachable') return 'host-unreachable';
  return failure === 'prohibited' ? 'prohibited' : null;
}

/** Writes and sends ICMP messages. */
export class IcmpSender {
  #tokens = BURST;
  #filledAt = 0;

  constructor(
    private readonly out: Slab,
    private readonly sender: PacketSender,
  ) {}

  /** Answers the echo request that the packet is. */
  echoReply(packet: IpPacket): void {
    const length = packet.payloadLength;
    const ip = new IpHeader(packet.destinationAddress(), packet.sourceAddress(), packet.protocol);
    const { bytes, view } = this.out;
    const from = packet.view.byteOffset + packet.payload;
    bytes.set(new Uint8Array(packet.view.buffer, from, length), ip.length);
    view.setUint8(ip.length, ip.family === 4 ? Icmp4.echoReply : Icmp6.echoReply);
    this.#send(ip, length);
  }

  /** Keeps an echo request, to be answered when its destination has answered one of ours. */
  replyLater(packet: IpPacket): { dataLength: number; send: () => void } {
    const length = packet.payloadLength;
    const ip = new IpHeader(packet.destinationAddress(), packet.sourceAddress(), packet.protocol);
    const kept = new Uint8Array(packet.view.buffer, packet.view.byteOffset + packet.payload, length).slice();
    const send = () => {
      this.out.bytes.set(kept, ip.length);
      this.out.view.setUint8(ip.length, ip.family === 4 ? Icmp4.echoReply : Icmp6.echoReply);
      this.#send(ip, length);
    };
    return { dataLength: length - ICMP_HEADER, send };
  }

  /** Sends an echo request with `data` bytes of padding. */
  echo(source: Uint8Array, destination: Uint8Array, identifier: number, sequence: number, data: number): void {
    const protocol = source.length === 4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6;
    const ip = new IpHeader(source, destination, protocol);
    const { bytes, view } = this.out;
    const at = ip.length;
    view.setUint16(at, (ip.family === 4 ? Icmp4.echo : Icmp6.echo) << 8);
    view.setUint16(at + 4, identifier);
    view.setUint16(at + 6, sequence);
    bytes.fill(0, at + ICMP_HEADER, at + ICMP_HEADER + data);
    this.#send(ip, ICMP_HEADER + data);
  }

  /** Says that a packet could not be delivered, quoting it. @param source what the error comes from, of the packet's family */
  unreachable(now: number, source: Uint8Array, packet: IpPacket, why: Unreachable): void {
    if (!this.#mayComplain(now, packet)) return;
    const ip = this.#errorHeader(source, packet.sourceAddress());
    const limit = (ip.family === 4 ? ERROR_MAX_4 : ERROR_MAX_6) - ip.length - ICMP_HEADER;
    const length = Math.min(packet.length, limit);
    const from = packet.view.byteOffset + packet.offset;
    this.out.bytes.set(new Uint8Array(packet.view.buffer, from, length), ip.length + ICMP_HEADER);
    this.#error(ip, why, length);
  }

  /** The same for a packet that is gone: its headers are written anew. */
  unreachableQuoted(now: number, source: Uint8Array, quoted: Quoted, why: Unreachable): void {
    if (!this.#take(now)) return;
    const ip = this.#errorHeader(source, quoted.source);
    const { view } = this.out;
    const inner = new IpHeader(quoted.source, quoted.destination, quoted.protocol);
    const at = ip.length + ICMP_HEADER;
    inner.write(view, at, quoted.protocol === PROTOCOL_TCP ? 20 : 8);
    view.setUint16(at + inner.length, quoted.sourcePort);
    view.setUint16(at + inner.length + 2, quoted.destinationPort);
    view.setUint32(at + inner.length + 4, quoted.protocol === PROTOCOL_TCP ? quoted.sequence : 8 << 16);
    this.#error(ip, why, inner.length + 8);
  }

  #errorHeader(source: Uint8Array, destination: Uint8Array): IpHeader {
    return new IpHeader(source, destination, source.length === 4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6);
  }

  #error(ip: IpHeader, why: Unreachable, length: number): void {
    const { view } = this.out;
    const type = ip.family === 4 ? Icmp4.unreachable : Icmp6.unreachable;
    view.setUint16(ip.length, (type << 8) | CODES[why][ip.family === 4 ? 0 : 1]);
    view.setUint32(ip.length + 4, 0);
    this.#send(ip, ICMP_HEADER + length);
  }

  #send(ip: IpHeader, length: number): void {
    const { view } = this.out;
    view.setUint16(ip.length + 2, 0);
    const pseudo = ip.family === 6 ? ip.pseudoSum(length) : 0;
    view.setUint16(ip.length + 2, finish(pseudo + sum(view, ip.length, length)), true);
    this.sender.send(ip, length);
  }

  /** Never about an error, a fragment other than the first, or what was not sent to one host by one host (RFC 1122 §3.2.2). */
  #mayComplain(now: number, packet: IpPacket): boolean {
    if (packet.isFragment && packet.fragmentOffset > 0) return false;
    const type = packet.payloadLength > 0 ? packet.view.getUint8(packet.payload) : 0;
    if (packet.protocol === PROTOCOL_ICMP && type !== Icmp4.echo) return false;
    if (packet.protocol === PROTOCOL_ICMPV6 && type < 128) return false;
    return this.#take(now);
  }

  #take(now: number): boolean {
    this.#tokens = Math.min(BURST, this.#tokens + ((now - this.#filledAt) * RATE) / 1000);
    this.#filledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
