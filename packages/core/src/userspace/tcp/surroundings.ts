import type { Deadlines, Scheduled } from '../../device/deadlines.js';
import type { Slab } from '../../slab/slab.js';
import type { Draw } from '../draw.js';
import type { IpPacket } from '../ippacket.js';
import type { FlowLimits } from '../limits.js';
import type { ConnectFailure, StackHost, Target } from '../native.js';
import type { TcpFlow } from './flow.js';
import type { BufferSource } from './inbound.js';

/** What the translator needs of the stack around it. */
export interface TcpSurroundings {
  readonly host: StackHost;
  readonly out: Slab;
  readonly packet: IpPacket;
  readonly deadlines: Deadlines<Scheduled>;
  readonly draw: Draw;
  readonly limits: FlowLimits;
  readonly buffers: BufferSource & { readonly isShort: boolean };
  /** of the inner interface, bytes */
  readonly mtu: number;
  /** what becomes of a connection to this address and port */
  decide(address: Uint8Array, port: number): Target | 'reset' | 'prohibited' | 'ignore';
  /** sends an ICMP error about a flow that could not be opened */
  unreachable(now: number, flow: TcpFlow, failure: ConnectFailure): void;
  /** sends an ICMP error about the packet that is being looked at */
  prohibit(now: number): void;
}

/** Counters that `show` may print. */
export interface TcpCounters {
  opened: number;
  refused: number;
  /** not let in: the table, or a share of it, was full */
  overflow: number;
  reset: number;
  /** segments sent again */
  timedOut: number;
  malformed: number;
}
