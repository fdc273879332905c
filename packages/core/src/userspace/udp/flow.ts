import type { Scheduled } from '../../device/deadlines.js';
import type { FlowEntry } from '../flowtable.js';
import { IpHeader } from '../ipheader.js';
import { PROTOCOL_UDP } from '../ippacket.js';
import type { NativeDatagrams, Path } from '../native.js';

/** ms without a datagram in either direction (passt: UDP_CONN_TIMEOUT; RFC 4787 REQ-5 asks for at least 120 s) */
export const UDP_TIMEOUT = 180_000;
/** the same for name look-ups, which are over with their answer */
export const DNS_TIMEOUT = 30_000;
const PORT_DNS = 53;

/** One UDP flow: the datagrams between one inner address and port and one other. */
export class UdpFlow implements FlowEntry, Scheduled {
  hash = 0;
  next: FlowEntry | null = null;
  deadline = Infinity;
  heapIndex = -1;

  native: NativeDatagrams | null = null;
  readonly ip: IpHeader;
  readonly timeout: number;
  lastActivity: number;
  /** bytes of data, for `show flows` */
  fromInner = 0;
  toInner = 0;

  constructor(
    readonly origin: 'inner' | 'native',
    readonly local: Uint8Array,
    readonly remote: Uint8Array,
    readonly localPort: number,
    readonly remotePort: number,
    readonly path: Path,
    readonly createdAt: number,
  ) {
    this.ip = new IpHeader(local, remote, PROTOCOL_UDP);
    this.lastActivity = createdAt;
    this.timeout = (origin === 'inner' ? localPort : remotePort) === PORT_DNS ? DNS_TIMEOUT : UDP_TIMEOUT;
  }
}
