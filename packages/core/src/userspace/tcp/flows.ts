import type { Slab } from '../../slab/slab.js';
import { FlowTable } from '../flowtable.js';
import type { IcmpError } from '../icmp/errors.js';
import { IPV4_HEADER, IPV6_HEADER, type IpPacket } from '../ippacket.js';
import type { ConnectFailure, NativeStream, Path } from '../native.js';
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
import { Admission } from './admission.js';
import { Orphan } from './orphan.js';
import type { TcpCounters, TcpSurroundings } from './surroundings.js';
import { input, readSyn, shrink } from './input.js';
import { Resets } from './resets.js';
import { Left, output, sendReset, sendResetFor, sendSyn } from './output.js';
import { ACK, FIN, RST, SYN, Segment, SegmentFields, TCP_HEADER } from './segment.js';
import { expire, nextDeadline } from './timers.js';
import { TurnQueue } from './turnqueue.js';

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
 * special happens. Every flow holds one deadline. Everything is bounded: flows, those half open (in all and per peer), buffers per flow and in all.
 *
 * Events only change a flow and mark it; what it then wants to send goes out in `flush` at the end of the driver's turn, so that one acknowledgement
 * answers a whole batch, and flows take turns when the path to a peer is full.
 */

export class TcpFlows {
  readonly table: FlowTable<TcpFlow>;
  readonly segment = new Segment();
  readonly fields = new SegmentFields();
  readonly counters: TcpCounters = { opened: 0, refused: 0, overflow: 0, reset: 0, timedOut: 0, malformed: 0 };
  /** bytes read ahead from all native sides */
  readAhead = 0;
  readonly admission: Admission;
  readonly #lingering = new Set<TcpFlow>();
  readonly #turns = new TurnQueue();
  readonly #resets = new Resets();

  constructor(private readonly stack: TcpSurroundings) {
    this.table = new FlowTable(stack.draw.uint32());
    this.admission = new Admission(stack.limits);
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

  /** Sends a super-packet, its virtio-net header first. @returns false when it has to go in single segments after all */
  sendSuper(length: number): boolean {
    return this.stack.host.sendSuper!(this.stack.out, 0, length);
  }

  // ---- from the inner side

  /**
   * The stack's packet holds a TCP segment.
   * @param unit of a super-packet that was checked: bytes of data per segment
   */
  packet(now: number, unit = 0): void {
    const { packet } = this.stack;
    const { segment } = this;
    if (!segment.parse(packet, unit)) {
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
    if (path === null || !this.#admits(now, path)) {
      this.counters.overflow++;
      return;
    }
    const { sourcePort, destinationPort } = segment;
    const flow = new TcpFlow('inner', local, remote, destinationPort, sourcePort, path, this.stack.buffers, now);
    flow.iss = this.stack.draw.uint32();
    readSyn(this, flow, segment);
    this.#list(flow);
    this.admission.beginsHalfOpen(flow);
    flow.native = host.openStream(flow, target);
    this.schedule(flow);
  }

  /** Answers a segment that belongs to nothing. */
  replyReset(segment: Segment): void {
    sendResetFor(this, this.stack.packet, segment);
  }

  /** An ICMP error came in about a segment of ours. */
  icmpError(packet: IpPacket, error: IcmpError): void {
    const { source, destination, sourcePort, destinationPort } = error;
    const flow = this.table.find(packet.view, source, destination, packet.addressLength, sourcePort, destinationPort);
    if (flow === null) return;
    if (error.failure !== null) {
      // Anything else than an attempt to connect goes on: the error may pass (RFC 1122 §4.2.3.9).
      if (flow.phase === Phase.synSent && error.sequence === flow.iss) this.failed(flow, error.failure);
      return;
    }
    const offset = flow.offsetOfAck(error.sequence);
    if (flow.phase === Phase.established && offset >= flow.sendUna && offset < flow.sendMax) shrink(flow, error.mtu);
    this.mark(flow);
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
    if (this.admission.isFull) return 'no-resources';
    const port = this.stack.draw.port((candidate) => this.table.get(local, remote, candidate, remotePort) === null);
    if (port === 0) return 'no-resources';
    const flow = new TcpFlow('native', local, remote, port, remotePort, path, this.stack.buffers, now);
    flow.native = native;
    flow.iss = this.stack.draw.uint32();
    flow.ourScale = WINDOW_SCALE;
    flow.sack = true;
    this.#list(flow);
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
    this.mark(flow);
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
    this.#turns.begin();
    for (let flow = this.#turns.next(); flow !== null; flow = this.#turns.next()) {
      if (flow.phase === Phase.resetting && flow.resendAt === Infinity) flow.resendAt = this.#resets.nextAt(now, flow);
      const left = output(this, now, flow);
      if (left === Left.turn) this.#turns.add(flow);
      else if (left !== Left.nothing) this.#turns.hold(flow, left === Left.rest);
      this.#finish(now, flow);
      this.schedule(flow);
    }
  }

  /** Whether flows wait for room on their paths. */
  get isBlocked(): boolean {
    return this.#turns.isHolding;
  }

  /** A flow's deadline has passed. */
  wake(now: number, flow: TcpFlow): void {
    if (flow.phase === Phase.resetting) this.#resetAgain(now, flow);
    else expire(this, now, flow);
    if (flow.phase !== Phase.gone) this.stack.deadlines.set(flow, nextDeadline(flow));
  }

  /** Something changed: the flow is looked at when the turn ends. */
  mark(flow: TcpFlow): void {
    if (flow.phase !== Phase.gone) this.#turns.add(flow);
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
    this.admission.leaves(flow);
    flow.resendAt = flow.ackAt = flow.stallAt = Infinity;
    flow.lifeAt = now + LINGER;
    this.#lingering.add(flow);
    if (this.#lingering.size <= LINGERING_MAX) return;
    for (const oldest of this.#lingering) return this.remove(oldest);
  }

  /** Resets the inner side, and the native one if it is still there. The inner side is told several times, in case it does not hear. */
  reset(flow: TcpFlow): void {
    const { phase } = flow;
    this.resetOnce(flow);
    if (phase !== Phase.established && phase !== Phase.synReceived) return;
    this.#resets.add(flow, (oldest) => this.remove(oldest));
    this.mark(flow);
  }

  /** The same without saying it again. */
  resetOnce(flow: TcpFlow): void {
    this.counters.reset++;
    sendReset(this, flow);
    this.abandon(flow);
  }

  /** Says it again, unless there is a new flow of the same ports. */
  #resetAgain(now: number, flow: TcpFlow): void {
    const isFree = this.table.get(flow.local, flow.remote, flow.localPort, flow.remotePort) === null;
    if (isFree) sendReset(this, flow);
    flow.backoff++;
    flow.resendAt = this.#resets.nextAt(now, flow);
    if (!isFree || flow.resendAt === Infinity) this.remove(flow);
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
    this.admission.settled(flow);
    this.#empty(flow);
    this.unlist(flow);
    this.#lingering.delete(flow);
    this.#resets.delete(flow);
    this.stack.deadlines.remove(flow);
    flow.phase = Phase.gone;
  }

  /** Makes room in the table for another flow of the same ports; this one goes on to its end. */
  unlist(flow: TcpFlow): void {
    if (!flow.isListed) return;
    flow.isListed = false;
    this.table.remove(flow);
    if (flow.phase !== Phase.lingering) this.admission.leaves(flow);
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
    for (const flow of this.#resets.takeAll()) this.remove(flow);
    this.#turns.clear();
  }

  // ---- limits

  /** Whether another flow of a peer's is let in; a flow that has long been idle gives way. */
  #admits(now: number, path: Path): boolean {
    if (!this.admission.admitsHalfOpen(path)) return false;
    if (this.admission.admits(path)) return true;
    const idlest = this.admission.idlest(now, path, this.table.values());
    if (idlest !== null) this.reset(idlest);
    return idlest !== null;
  }

  #list(flow: TcpFlow): void {
    this.counters.opened++;
    flow.isListed = true;
    this.table.add(flow);
    this.admission.enters(flow);
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
