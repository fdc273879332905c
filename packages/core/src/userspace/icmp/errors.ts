import { IPV4_HEADER, IPV6_HEADER, PROTOCOL_TCP, PROTOCOL_UDP, type IpPacket } from '../ippacket.js';
import type { ConnectFailure } from '../native.js';
import { Icmp4, Icmp6, ICMP_HEADER } from './icmp.js';

/** Codes of "unreachable" (RFC 792, RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1; RFC 4443 §3.1). */
const PORT_4 = 3;
const TOO_BIG_4 = 4;
const PROHIBITED_4 = [9, 10, 13];
const PORT_6 = 4;
const PROHIBITED_6 = [1, 5, 6];

/** An ICMP error that came in, about a packet of ours. One object serves all. */
export class IcmpError {
  /** of the packet it is about */
  protocol = 0;
  /** where its addresses are in the view, as in the packet that the error came in */
  source = 0;
  destination = 0;
  sourcePort = 0;
  destinationPort = 0;
  /** TCP */
  sequence = 0;
  /** null when it only says that packets must be shorter */
  failure: ConnectFailure | null = null;
  /** the longest packet that the path takes, 0 when it does not say */
  mtu = 0;

  /** @returns false when it is none that matters to a TCP or UDP flow */
  parse(packet: IpPacket): boolean {
    const { view, payload: at, payloadLength: length, version } = packet;
    const header = version === 4 ? IPV4_HEADER : IPV6_HEADER;
    const quoted = at + ICMP_HEADER;
    if (length < ICMP_HEADER + header + 8 || view.getUint8(quoted) >> 4 !== version) return false;
    if (!this.#meaning(version, view.getUint8(at), view.getUint8(at + 1), view, at)) return false;
    const inner = version === 4 ? (view.getUint8(quoted) & 15) * 4 : IPV6_HEADER;
    if (inner < header || length < ICMP_HEADER + inner + 8) return false;
    this.protocol = view.getUint8(quoted + (version === 4 ? 9 : 6));
    if (this.protocol !== PROTOCOL_TCP && this.protocol !== PROTOCOL_UDP) return false;
    this.source = quoted + (version === 4 ? 12 : 8);
    this.destination = quoted + (version === 4 ? 16 : 24);
    this.sourcePort = view.getUint16(quoted + inner);
    this.destinationPort = view.getUint16(quoted + inner + 2);
    this.sequence = view.getUint32(quoted + inner + 4);
    return true;
  }

  #meaning(version: 4 | 6, type: number, code: number, view: DataView, at: number): boolean {
    this.mtu = 0;
    if (version === 4) {
      if (type !== Icmp4.unreachable) return false;
      if (code === TOO_BIG_4) {
        this.failure = null;
        this.mtu = view.getUint16(at + 6);
        return true;
      }
      this.failure = code === PORT_4 ? 'refused' : PROHIBITED_4.includes(code) ? 'prohibited' : 'unreachable';
      return true;
    }
    if (type === Icmp6.tooBig) {
      this.failure = null;
      this.mtu = view.getUint32(at + 4);
      return true;
    }
    if (type !== Icmp6.unreachable) return false;
    this.failure = code === PORT_6 ? 'refused' : PROHIBITED_6.includes(code) ? 'prohibited' : 'unreachable';
    return true;
  }
}
