import { formatIp } from '../address/ip.js';
import { u16, u32 } from './feed.js';
import { IpView, Protocol, Tcp } from './ipview.js';

/** What there is to say of a packet inside a transport message. */
export interface InnerPacket {
  /** 0: no IP packet (a message between two wirestreams, or damage) */
  readonly version: 0 | 4 | 6;
  /** bytes, without the padding */
  readonly length: number;
  /** tcp, udp, icmp, icmpv6, or the protocol's number */
  readonly protocol: string;
  readonly source: string;
  readonly destination: string;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  /** the rest in a few words */
  readonly info: string;
}

const view = new IpView();

/**
 * The length of the IP packet in `length` bytes of plaintext, padding removed; 0 when there is none, or it claims to be longer than
 * what is there.
 */
export function innerLength(bytes: Uint8Array, offset: number, length: number): number {
  if (length < 20) return 0;
  const version = bytes[offset]! >> 4;
  const stated = version === 4 ? u16(bytes, offset + 2, false) : version === 6 ? 40 + u16(bytes, offset + 4, false) : 0;
  return stated > length || stated < 20 ? 0 : stated;
}

/** Looks into the plaintext of a transport message, `length` bytes with padding. */
export function describeInner(bytes: Uint8Array, offset: number, length: number): InnerPacket {
  const packet = innerLength(bytes, offset, length);
  if (packet === 0 || !view.parse(bytes, offset, offset + packet)) {
    return {
      version: 0,
      length,
      protocol: 'none',
      source: '',
      destination: '',
      info: `no IP packet (${length} bytes)`,
    };
  }
  const base = {
    version: view.version,
    length: packet,
    protocol: nameOf(view.protocol),
    source: formatIp(bytes, view.sourceAddress, view.addressLength),
    destination: formatIp(bytes, view.destinationAddress, view.addressLength),
  };
  if (view.isFragment) {
    const more = view.moreFragments ? ', more follow' : '';
    return { ...base, info: `fragment of ${view.identification} at ${view.fragmentOffset}${more}` };
  }
  if (view.protocol === Protocol.tcp && view.parseTcp(bytes)) return { ...base, ...ports(), info: tcpInfo() };
  if (view.protocol === Protocol.udp && view.parseUdp(bytes)) {
    return { ...base, ...ports(), info: `${view.payloadLength} bytes` };
  }
  return { ...base, info: icmpInfo(bytes) };
}

function ports() {
  return { sourcePort: view.sourcePort, destinationPort: view.destinationPort };
}

function nameOf(protocol: number): string {
  for (const [name, number] of Object.entries(Protocol)) if (number === protocol) return name;
  return String(protocol);
}

function tcpInfo(): string {
  const names = [
    [Tcp.syn, 'SYN'],
    [Tcp.fin, 'FIN'],
    [Tcp.rst, 'RST'],
    [Tcp.ack, 'ACK'],
  ] as const;
  const flags = names.filter(([bit]) => (view.flags & bit) !== 0).map(([, name]) => name);
  return `${flags.join(' ')} ${view.payloadLength} bytes`.trim();
}

/** Types from RFC 792 and RFC 4443. */
function icmpInfo(bytes: Uint8Array): string {
  const at = view.payloadOffset;
  if (view.captured < 8 || (view.protocol !== Protocol.icmp && view.protocol !== Protocol.icmpv6)) {
    return `${view.payloadLength} bytes`;
  }
  const type = bytes[at]!;
  const isV4 = view.protocol === Protocol.icmp;
  const echo = type === (isV4 ? 8 : 128) ? 'echo request' : type === (isV4 ? 0 : 129) ? 'echo reply' : null;
  if (echo !== null) return `${echo} ${u16(bytes, at + 4, false)}/${u16(bytes, at + 6, false)}`;
  if (type === (isV4 ? 3 : 1)) return `destination unreachable, code ${bytes[at + 1]}`;
  if (!isV4 && type === 2) return `packet too big, MTU ${u32(bytes, at + 4, false)}`;
  return `type ${type}, code ${bytes[at + 1]}`;
}
