import { formatIp } from '../../address/ip.js';
import type { Deadlines, Scheduled } from '../../device/deadlines.js';
import type { Slab } from '../../slab/slab.js';
import { FlowTable } from '../flowtable.js';
import { IpHeader } from '../ipheader.js';
import { IPV4_HEADER, IPV6_HEADER, PROTOCOL_TCP, type IpPacket } from '../ippacket.js';
import type { FlowLimits } from '../limits.js';
import type { ConnectFailure, NativeStream, StackHost, Target } from '../native.js';
import type { Draw } from '../draw.js';
import {
  FIN_TIMEOUT,
  LINGER,
  RECEIVE_LIMIT,
  SEND_BUDGET,
  SEND_LIMIT,
  SEND_LIMIT_MIN,
  STALL_TIMEOUT,
  SYN_RESEND,
  ACK_INTERVAL,
  LINGERING_MAX,
  WINDOW_SCALE,
} from './constants.js';
import { Phase, TcpFlow } from './flow.js';
import type { BufferSource } from './inbound.js';
import { input, readSyn } from './input.js';
import { Left, output, sendReset, sendSyn } from './output.js';
import { ACK, FIN, RST, SYN, Segment, SegmentFields, TCP_HEADER, writeSegment } from './segment.js';
import { expire, nextDeadline } from './timers.js';

/**
 * The TCP translator: flows between peers' TCP stacks and native connections, without a TCP stack of its own.
 *
 * Theory of operation (after the ideas of passt's tcp.c). What one side is seen to do is done on the other: a SYN becomes a connect, and is
 * answered when that has succeeded; data is written to the native side and acknowledged when that has taken it, so that its buffers and ours appear as one
 * window; what is read from the native side is kept until the inner side acknowledges it, because Node cannot peek into a socket buffer as passt does; FIN becomes
 * the end of one direction and EOF a FIN; a reset on one side is one on the other. Loss, reordering and duplication of the inner path are dealt
 * with here and never seen by the native side.
 *
 * State is a handful of facts (their FIN seen, passed on; ours sent, acknowledged), not a state machine: FINs may cross in any order and nothing
 * special happens. Every flow holds one deadline. Everything is bounded: flows, those half open (in all and per source), buffers per flow and in all.
 *
 * Events only change a flow and mark it; what it then wants to send goes out in `flush` at the end of the driver's turn, so that one acknowledgement
 * answers a whole batch, and flows take turns when the path to a peer is full.
 */

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

export class TcpFlows {
  readonly table: FlowTable<TcpFlow>;
  readonly segment = new Segment();
  readonly fields = new SegmentFields();
  readonly counters: TcpCounters = { opened: 0, refused: 0, overflow: 0, reset: 0, timedOut: 0, malformed: 0 };
  /** bytes read ahead from all native sides */
  readAhead = 0;
  halfOpen = 0;
  readonly #lingering = new Set<TcpFlow>();
  readonly #halfOpenBySource = new Map<string, number>();
  #dirty: TcpFlow[] = [];
  #round: TcpFlow[] = [];
  #blocked: TcpFlow[] = [];

  constructor(private readonly stack: TcpSurroundings) {
    this.table = new FlowTable(stack.draw.uint32());
  }

  get out(): Slab {
    return this.stack.out;
  }

  get memoryIsShort(): boolean {
    return this.stack.buffers.isShort;
  }

  /** Bytes of data that a segment to us may have, so that its packet fits the tunnel. */
  mssFor(flow: TcpFlow): number {
    return this.stack.mtu - TCP_HEADER - (flow.ip.family === 4 ? IPV4_HEADER : IPV6_HEADER);
  }

  send(length: number): void {
    this.stack.host.send(this.stack.out, 0, length);
  }

  // ---- from the inner side

  /** The stack's packet holds a TCP segment. */
  packet(now: number): void {
    const { packet } = this.stack;
    const { segment } = this;
    if (!segment.parse(packet)) {
      this.counters.malformed++;
      return;
    }
    const flow = this.table.find(
      packet.view,
      packet.destination,
      packet.source,
      packet.addressLength,
      segment.destinationPort,
      segment.sourcePort,
    );
    if (flow === null) {
      if ((segment.flags & (SYN | ACK | RST | FIN)) === SYN) this.syn(now, segment);
      else if (!segment.has(RST)) this.replyReset(segment);
      return;
    }
    if (flow.phase === Phase.lingering && (segment.flags & (SYN | ACK | RST)) === SYN) {
      this.remove(flow);
      return this.syn(now, segment);
    }
    input(this, now, flow, segment);
  }

  /** A SYN for a flow that there is not. */
  syn(now: number, segment: Segment): void {
    const { packet, host } = this.stack;
    const local = packet.destinationAddress();
    const remote = packet.sourceAddress();
    const target = this.stack.decide(local, segment.destinationPort);
    if (typeof target === 'string') {
      if (target === 'ignore') return;
      this.counters.refused++;
      if (target === 'reset') this.replyReset(segment);
      else this.stack.prohibit(now);
      return;
    }
    const path = host.path(remote);
    const source = formatIp(remote);
    if (path === null || !this.#admits(source)) {
      this.counters.overflow++;
      return;
    }
    const { sourcePort, destinationPort } = segment;
    const flow = new TcpFlow('inner', local, remote, destinationPort, sourcePort, path, this.stack.buffers, now);
    flow.iss = this.stack.draw.uint32();
    readSyn(this, flow, segment);
    this.#list(flow, source);
    flow.native = host.openStream(flow, target);
    this.schedule(flow);
  }

  /** Answers a segment that belongs to nothing, as RFC 9293 §3.10.7.1 has it. */
  replyReset(segment: Segment): void {
    const { packet } = this.stack;
    const { fields } = this;
    const ip = new IpHeader(packet.destinationAddress(), packet.sourceAddress(), PROTOCOL_TCP);
    fields.sourcePort = segment.destinationPort;
    fields.destinationPort = segment.sourcePort;
    fields.window = 0;
    fields.sackCount = 0;
    if (segment.has(ACK)) {
      fields.flags = RST;
      fields.sequence = segment.acknowledgement;
      fields.acknowledgement = 0;
    } else {
      fields.flags = RST | ACK;
      fields.sequence = 0;
      const length = segment.dataLength + (segment.has(SYN) ? 1 : 0) + (segment.has(FIN) ? 1 : 0);
      fields.acknowledgement = (segment.sequence + length) >>> 0;
    }
    this.send(writeSegment(this.out.view, 0, ip, fields, 0, 0));
  }

  // ---- from the native side

  /**
   * Something on the native side wants a connection into the tunnel.
   * @param localPort 0 for one that is free
   * @returns the flow, or why there is none; `native` hears of nothing in that case
   */
  connect(
    now: number,
    local: Uint8Array,
    remote: Uint8Array,
    remotePort: number,
    native: NativeStream,
  ): TcpFlow | ConnectFailure {
    const path = this.stack.host.path(remote);
    if (path === null) return 'unreachable';
    if (this.table.size - this.#lingering.size >= this.stack.limits.flows) return 'no-resources';
    const port = this.stack.draw.port((candidate) => this.table.get(local, remote, candidate, remotePort) === null);
    if (port === 0) return 'no-resources';
    const flow = new TcpFlow('native', local, remote, port, remotePort, path, this.stack.buffers, now);
    flow.native = native;
    flow.iss = this.stack.draw.uint32();
    flow.ourScale = WINDOW_SCALE;
    flow.sack = true;
    this.#list(flow, null);
    sendSyn(this, flow, false);
    flow.roundTrip.sent(now, 0);
    flow.resendAt = now + SYN_RESEND;
    this.schedule(flow);
    return flow;
  }

  /** The native connection of a flow came about. */
  connected(now: number, flow: TcpFlow): void {
    if (flow.phase !== Phase.opening) return;
    flow.phase = Phase.synReceived;
    sendSyn(this, flow, true);
    flow.roundTrip.sent(now, 0);
    flow.resendAt = now + SYN_RESEND;
    flow.lastActivity = now;
    this.schedule(flow);
  }

  /** It did not. The native side is gone. */
  refused(now: number, flow: TcpFlow, failure: ConnectFailure): void {
    if (flow.phase !== Phase.opening) return;
    this.counters.refused++;
    flow.native = null;
    if (failure === 'refused') sendReset(this, flow);
    else this.stack.unreachable(now, flow, failure);
    this.remove(flow);
  }

  /** Bytes were read from the native side; they must not change afterwards. */
  data(now: number, flow: TcpFlow, bytes: Uint8Array): void {
    if (flow.native === null || flow.nativeEof) return;
    flow.outbound.append(bytes);
    this.readAhead += bytes.length;
    flow.lastActivity = now;
    if (!flow.nativePaused && flow.outbound.length >= this.#sendLimit(flow)) {
      flow.nativePaused = true;
      flow.native.pause();
    }
    this.mark(flow);
  }

  /** The native side will send no more. */
  eof(now: number, flow: TcpFlow): void {
    if (flow.native === null) return;
    flow.nativeEof = true;
    flow.lastActivity = now;
    this.mark(flow);
  }

  /** The native side has taken `count` more bytes of what was written to it. */
  taken(now: number, flow: TcpFlow, count: number): void {
    if (flow.native === null) return;
    const { inbound } = flow;
    inbound.confirm(count);
    flow.fromInner += count;
    flow.lastActivity = now;
    flow.stallAt = inbound.handed > inbound.taken ? now + STALL_TIMEOUT : Infinity;
    if (flow.stalled && inbound.pending <= RECEIVE_LIMIT / 2) {
      flow.stalled = false;
      flow.ackNow = true;
    }
    const unacknowledged = flow.ackOffset - flow.ackSent;
    if (unacknowledged >= 2 * flow.largestSegment || inbound.hasGaps || flow.nativeEnded) flow.ackNow = true;
    else if (unacknowledged > 0) flow.ackAt = Math.min(flow.ackAt, now + ACK_INTERVAL);
    this.touch(now, flow);
  }

  /** The native side broke: so does the inner one. The native side is gone. */
  broken(flow: TcpFlow): void {
    if (flow.native === null) return;
    flow.native = null;
    this.reset(flow);
  }

  /**
   * The native side is gone for good, and all that it had to say has been said. The inner side may still end in order; if it sends
   * more data than that, it is told with a reset, as by a kernel whose program has closed its socket.
   */
  orphaned(now: number, flow: TcpFlow): void {
    if (flow.native === null) return;
    if (flow.phase !== Phase.established) return this.broken(flow);
    flow.native = new Orphan(() => {
      flow.native = null;
      this.reset(flow);
    });
    flow.orphaned = true;
    flow.lifeAt = Math.min(flow.lifeAt, now + FIN_TIMEOUT);
    this.eof(now, flow);
    this.schedule(flow);
  }

  // ---- turns and time

  /** Sends what all marked flows want to send, in turns, as far as the paths have room. */
  flush(now: number): void {
    const dirty = this.#dirty;
    this.#dirty = this.#blocked;
    this.#blocked = [];
    for (const flow of dirty) this.#dirty.push(flow);
    while (this.#dirty.length > 0) {
      const round = this.#dirty;
      this.#dirty = this.#round;
      this.#round = round;
      for (const flow of round) {
        flow.isDirty = false;
        const left = output(this, now, flow);
        if (left === Left.turn) this.mark(flow);
        else if (left === Left.room) {
          flow.isDirty = true;
          this.#blocked.push(flow);
        }
        this.#finish(now, flow);
        this.schedule(flow);
      }
      round.length = 0;
    }
  }

  /** Whether flows wait for room on their paths. */
  get isBlocked(): boolean {
    return this.#blocked.length > 0;
  }

  /** A flow's deadline has passed. */
  wake(now: number, flow: TcpFlow): void {
    expire(this, now, flow);
    if (flow.phase !== Phase.gone) this.stack.deadlines.set(flow, nextDeadline(flow));
  }

  /** Puts a flow on the list for the end of the turn. */
  mark(flow: TcpFlow): void {
    if (flow.isDirty || flow.phase === Phase.gone) return;
    flow.isDirty = true;
    this.#dirty.push(flow);
  }

  touch(_now: number, flow: TcpFlow): void {
    this.mark(flow);
  }

  /** Later deadlines are found out when the earlier one is due. */
  schedule(flow: TcpFlow): void {
    if (flow.phase === Phase.gone) return;
    const at = nextDeadline(flow);
    if (at < flow.deadline) this.stack.deadlines.set(flow, at);
  }

  // ---- ends

  /** Both directions are done, and the other side knows it. */
  #finish(now: number, flow: TcpFlow): void {
    if (flow.phase !== Phase.established || !flow.finAcked || !flow.nativeEnded) return;
    if (flow.inbound.pending > 0) {
      flow.lifeAt = Math.min(flow.lifeAt, now + FIN_TIMEOUT);
      return;
    }
    if (flow.ackSent < flow.ackOffset && flow.isListed) return;
    flow.native!.close();
    flow.native = null;
    this.#empty(flow);
    if (!flow.isListed) return this.remove(flow);
    flow.phase = Phase.lingering;
    flow.resendAt = flow.ackAt = flow.stallAt = Infinity;
    flow.lifeAt = now + LINGER;
    this.#lingering.add(flow);
    if (this.#lingering.size <= LINGERING_MAX) return;
    for (const oldest of this.#lingering) return this.remove(oldest);
  }

  /** Resets the inner side, and the native one if it is still there. */
  reset(flow: TcpFlow): void {
    this.counters.reset++;
    sendReset(this, flow);
    this.abandon(flow);
  }

  /** Ends a flow that the inner side knows to be over, or will never hear of. */
  abandon(flow: TcpFlow): void {
    const { native } = flow;
    flow.native = null;
    if (native !== null) {
      if (flow.phase === Phase.synSent || (flow.origin === 'native' && flow.phase === Phase.synReceived)) {
        native.failed('refused');
      } else native.reset();
    }
    this.remove(flow);
  }

  /** A connection into the tunnel did not come about. */
  failed(flow: TcpFlow, failure: ConnectFailure): void {
    const { native } = flow;
    flow.native = null;
    native?.failed(failure);
    this.remove(flow);
  }

  /** Takes a flow out of everything. */
  remove(flow: TcpFlow): void {
    if (flow.phase === Phase.gone) return;
    this.settled(flow);
    this.#empty(flow);
    this.unlist(flow);
    this.#lingering.delete(flow);
    this.stack.deadlines.remove(flow);
    flow.phase = Phase.gone;
  }

  /** Makes room in the table for another flow of the same ports; this one goes on to its end. */
  unlist(flow: TcpFlow): void {
    if (!flow.isListed) return;
    flow.isListed = false;
    this.table.remove(flow);
  }

  /** The inner side acknowledged up to `offset`. */
  release(flow: TcpFlow, offset: number): void {
    const { outbound } = flow;
    const before = outbound.length;
    outbound.release(Math.min(offset, outbound.end));
    this.readAhead -= before - outbound.length;
    if (flow.nativePaused && !flow.nativeEof && outbound.length <= this.#sendLimit(flow) / 2) {
      flow.nativePaused = false;
      flow.native?.resume();
    }
  }

  /** Resets everything at once. */
  close(): void {
    for (const flow of [...this.table.values()]) {
      if (flow.phase === Phase.established || flow.phase === Phase.synReceived) this.reset(flow);
      else this.abandon(flow);
    }
    this.#dirty.length = 0;
    this.#blocked.length = 0;
  }

  // ---- limits

  /** The flow is no longer half open. */
  settled(flow: TcpFlow): void {
    const source = flow.halfOpenSource;
    if (source === null) return;
    flow.halfOpenSource = null;
    this.halfOpen--;
    const left = this.#halfOpenBySource.get(source)! - 1;
    if (left === 0) this.#halfOpenBySource.delete(source);
    else this.#halfOpenBySource.set(source, left);
  }

  #admits(source: string): boolean {
    const { limits } = this.stack;
    return (
      this.table.size - this.#lingering.size < limits.flows &&
      this.halfOpen < limits.halfOpen &&
      (this.#halfOpenBySource.get(source) ?? 0) < limits.halfOpenPerSource
    );
  }

  #list(flow: TcpFlow, source: string | null): void {
    this.counters.opened++;
    flow.isListed = true;
    this.table.add(flow);
    if (source === null) return;
    flow.halfOpenSource = source;
    this.halfOpen++;
    this.#halfOpenBySource.set(source, (this.#halfOpenBySource.get(source) ?? 0) + 1);
  }

  #sendLimit(flow: TcpFlow): number {
    if (this.readAhead > SEND_BUDGET / 2) return SEND_LIMIT_MIN;
    return Math.min(SEND_LIMIT, Math.max(SEND_LIMIT_MIN, 2 * (flow.sendEdge - flow.sendUna)));
  }

  #empty(flow: TcpFlow): void {
    this.readAhead -= flow.outbound.length;
    flow.outbound.clear();
    flow.inbound.clear();
  }
}

/** Stands in for a native side that is gone. */
class Orphan implements NativeStream {
  constructor(private readonly unwanted: () => void) {}

  write(): void {
    this.unwanted();
  }

  end(): void {}
  reset(): void {}
  close(): void {}
  pause(): void {}
  resume(): void {}
  established(): void {}
  failed(): void {}
}
