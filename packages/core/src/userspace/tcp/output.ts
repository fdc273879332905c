import { STALL_TIMEOUT, PROBE_MIN, QUANTUM, RECEIVE_LIMIT, RECEIVE_LIMIT_MIN } from './constants.js';
import { Phase, type TcpFlow } from './flow.js';
import type { TcpFlows } from './flows.js';
import { IpHeader } from '../ipheader.js';
import { PROTOCOL_TCP, type IpPacket } from '../ippacket.js';
import {
  ACK,
  FIN,
  PSH,
  RST,
  SACK_BLOCKS,
  SYN,
  TCP_HEADER,
  headerLength,
  writeSegment,
  type Segment,
} from './segment.js';
import { mostData, sendSuper } from './superpacket.js';

/** What `output` left undone. */
export const enum Left {
  nothing,
  /** its share of this round is used up */
  turn,
  /** the path to the peer has no room, and had none for any of it */
  room,
  /** the path to the peer has no more room */
  rest,
}

/** Does everything that a flow's state calls for now: hands data over, sends data, FIN and acknowledgements. */
export function output(flows: TcpFlows, now: number, flow: TcpFlow): Left {
  if (flow.phase === Phase.lingering) {
    if (flow.ackNow) sendAck(flows, flow);
    return Left.nothing;
  }
  if (flow.phase !== Phase.established) return Left.nothing;
  handOver(now, flow);
  if (flow.native === null) return Left.nothing;
  const left = sendData(flows, now, flow);
  if (flow.ackNow) {
    // One for each segment that arrived out of order, where the sender has nothing but their number to go by.
    for (let n = flow.sack ? 1 : Math.max(1, flow.duplicatesDue); n > 0; n--) sendAck(flows, flow);
  }
  if (left === Left.nothing) armProbe(now, flow);
  return left;
}

/** Gives the native side what has arrived in order, and the end behind it. */
function handOver(now: number, flow: TcpFlow): void {
  const { inbound, native } = flow;
  while (flow.native !== null && inbound.run()) {
    native!.write(inbound.runSlab!.bytes.subarray(inbound.runOffset, inbound.runOffset + inbound.runLength));
    if (flow.stallAt === Infinity) flow.stallAt = now + STALL_TIMEOUT;
  }
  if (flow.innerFinished && !flow.nativeEnded && flow.native !== null) {
    flow.nativeEnded = true;
    native!.end();
    if (inbound.pending === 0) flow.ackNow = true;
  }
}

function sendData(flows: TcpFlows, now: number, flow: TcpFlow): Left {
  let sent = 0;
  for (;;) {
    const again = flow.resendNext < flow.resendTo;
    const start = again ? nextLost(flow) : flow.sendNext;
    if (again && start >= flow.resendTo) {
      flow.resendNext = flow.resendTo;
      continue;
    }
    const available = flow.outbound.end - start;
    if (available < 0) break;
    const limit = again ? Math.min(flow.resendTo, flow.sacked?.nextStart(start) ?? Infinity) : flow.sendEdge;
    const segment = flow.mss - sackLength(flow);
    let length = Math.max(0, Math.min(available, limit - start));
    if (length > segment) length = severalSegments(flow, segment, length, again || length === available);
    if (length === 0 && !(flow.nativeEof && available === 0)) break;
    const { inFlight } = flow;
    if (inFlight > 0 && !flow.resendForced) {
      const open = flow.congestion.window - inFlight;
      if (length > open) length = wholeSegments(open, segment);
      if (open < 0 || (length === 0 && available > 0)) break;
      // Silly windows are waited out while something is on its way (RFC 9293 §3.8.6.2.1).
      if (!again && length < available && length < segment) break;
    }
    const room = flow.path.room();
    if (room < length) length = wholeSegments(room, segment);
    if (room < 0 || (length === 0 && available > 0)) return sent === 0 ? Left.room : Left.rest;
    if (sent >= QUANTUM) return Left.turn;
    const end = emit(flows, now, flow, start, length, segment);
    sent += end - start;
    if (again) {
      flow.resendNext = end;
      flow.resendForced = false;
    }
  }
  return Left.nothing;
}

/** Bytes of the SACK option that every segment has to carry now. */
function sackLength(flow: TcpFlow): number {
  return flow.hasSackToSend ? 4 + 8 * Math.min(SACK_BLOCKS, flow.inbound.gaps!.size) : 0;
}

function wholeSegments(bytes: number, segment: number): number {
  return bytes < segment ? 0 : bytes - (bytes % segment);
}

/**
 * How much of `length` bytes, which are more than one segment, goes into the next packet.
 * @param tail whether the last segment may be a short one
 */
function severalSegments(flow: TcpFlow, segment: number, length: number, tail: boolean): number {
  // What finds out whether the path is any good is one segment, or a first window.
  if (flow.resendForced) return segment;
  const most = mostData(flow, segment, flow.ip.length + TCP_HEADER + flow.mss - segment);
  const window = Math.max(segment, wholeSegments(flow.congestion.window, segment));
  if (length > Math.min(most, window)) return Math.min(most, window);
  return tail ? length : wholeSegments(length, segment);
}

function nextLost(flow: TcpFlow): number {
  return flow.sacked === null ? flow.resendNext : flow.sacked.skip(flow.resendNext);
}

/**
 * Sends [start, start + length), in segments of `segment` bytes, and FIN behind the last byte that there will be.
 * @returns the offset behind what was sent: only one segment's, when the path took no more
 */
function emit(flows: TcpFlows, now: number, flow: TcpFlow, start: number, length: number, segment: number): number {
  const { fields, out } = flows;
  const isLast = start + length === flow.outbound.end;
  const fin = isLast && flow.nativeEof;
  const end = start + length + (fin ? 1 : 0);
  fields.sequence = flow.sequenceOf(start);
  fields.flags = ACK | (length > 0 && isLast ? PSH : 0) | (fin ? FIN : 0);
  acknowledge(flows, flow);
  if (length > segment) {
    if (!sendSuper(flows, flow, start, length, segment)) return emit(flows, now, flow, start, segment, segment);
  } else {
    const at = flow.ip.length + headerLength(fields);
    const sum = length > 0 ? flow.outbound.copy(out, at, start, length) : 0;
    flows.send(writeSegment(out.view, 0, flow.ip, fields, length, sum));
  }
  if (end > flow.sendMax) {
    flow.toInner += Math.min(end, flow.outbound.end) - Math.min(flow.sendMax, flow.outbound.end);
    flow.sendMax = end;
    flow.roundTrip.sent(now, end);
  } else {
    flow.roundTrip.cancel();
  }
  if (end > flow.sendNext) flow.sendNext = end;
  if (flow.resendAt === Infinity) flow.resendAt = now + flow.roundTrip.timeout(flow.backoff);
  return end;
}

/** An acknowledgement without data. */
export function sendAck(flows: TcpFlows, flow: TcpFlow): void {
  const { fields, out } = flows;
  fields.sequence = newestSequence(flow);
  fields.flags = ACK;
  acknowledge(flows, flow);
  flows.send(writeSegment(out.view, 0, flow.ip, fields, 0, 0));
}

/**
 * As far as the other side has heard of us, even while older data goes out again: lower numbers would look outdated. But not beyond a
 * window that was taken back (as Linux's tcp_acceptable_seq).
 */
function newestSequence(flow: TcpFlow): number {
  return flow.sequenceOf(Math.min(flow.sendMax, Math.max(flow.sendUna, flow.sendEdge)));
}

/** A segment without data from before the window, which everyone answers with an acknowledgement (RFC 9293 §3.8.4). */
export function sendProbe(flows: TcpFlows, flow: TcpFlow): void {
  const { fields, out } = flows;
  fields.sequence = flow.sequenceOf(flow.sendUna - 1);
  fields.flags = ACK;
  acknowledge(flows, flow);
  flows.send(writeSegment(out.view, 0, flow.ip, fields, 0, 0));
}

/** SYN, or SYN-ACK. Windows in them are not scaled (RFC 7323 §2.2). */
export function sendSyn(flows: TcpFlows, flow: TcpFlow, withAck: boolean): void {
  const { fields, out } = flows;
  ports(flows, flow);
  fields.sequence = flow.iss;
  fields.acknowledgement = withAck ? (flow.irs + 1) >>> 0 : 0;
  fields.flags = withAck ? SYN | ACK : SYN;
  flow.edge = Math.min(receiveWindow(flows, flow), 0xffff);
  fields.window = flow.edge;
  fields.mss = flows.mssFor(flow);
  fields.scale = flow.ourScale > 0 ? flow.ourScale : -1;
  fields.sackPermitted = flow.sack;
  flows.send(writeSegment(out.view, 0, flow.ip, fields, 0, 0));
}

/** Tells the inner side that the flow is broken. */
export function sendReset(flows: TcpFlows, flow: TcpFlow): void {
  const { fields, out } = flows;
  ports(flows, flow);
  const opening = flow.phase === Phase.opening;
  fields.sequence = opening ? 0 : newestSequence(flow);
  fields.acknowledgement = opening ? (flow.irs + 1) >>> 0 : (flow.irs + 1 + flow.ackOffset) >>> 0;
  fields.flags = RST | ACK;
  fields.window = 0;
  fields.sackCount = 0;
  flows.send(writeSegment(out.view, 0, flow.ip, fields, 0, 0));
}

/** Answers a segment that belongs to no flow, as RFC 9293 §3.10.7.1 has it. */
export function sendResetFor(flows: TcpFlows, packet: IpPacket, segment: Segment): void {
  const { fields, out } = flows;
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
  flows.send(writeSegment(out.view, 0, ip, fields, 0, 0));
}

function ports(flows: TcpFlows, flow: TcpFlow): void {
  flows.fields.sourcePort = flow.localPort;
  flows.fields.destinationPort = flow.remotePort;
}

/** Fills in acknowledgement, window and SACK blocks; whatever was owed of them is then paid. */
function acknowledge(flows: TcpFlows, flow: TcpFlow): void {
  const { fields } = flows;
  ports(flows, flow);
  const offset = flow.ackOffset;
  fields.acknowledgement = (flow.irs + 1 + offset) >>> 0;
  const window = receiveWindow(flows, flow);
  // Only a stalled native side takes back what was offered; otherwise the edge moves forward (RFC 9293 §3.8.6).
  flow.edge = flow.stalled ? offset : Math.max(flow.edge, flow.inbound.taken + window);
  fields.window = Math.min(Math.max(0, flow.edge - offset) >> flow.ourScale, 0xffff);
  fields.sackCount = 0;
  if (flow.hasSackToSend) selectiveBlocks(flows, flow);
  flow.ackSent = offset;
  flow.ackNow = false;
  flow.duplicatesDue = 0;
  flow.ackAt = Infinity;
}

/** The newest block first, the others from below (RFC 2018 §4). */
function selectiveBlocks(flows: TcpFlows, flow: TcpFlow): void {
  const { fields } = flows;
  const gaps = flow.inbound.gaps!;
  const base = flow.irs + 1;
  let n = 0;
  for (let i = -1; i < gaps.size && n < SACK_BLOCKS; i++) {
    const at = i < 0 ? gaps.latest : i;
    if (i === gaps.latest) continue;
    fields.sack[2 * n] = (base + gaps.starts[at]!) >>> 0;
    fields.sack[2 * n + 1] = (base + gaps.ends[at]!) >>> 0;
    n++;
  }
  fields.sackCount = n;
}

/** Bytes that may still come, beyond what the native side has taken. */
function receiveWindow(flows: TcpFlows, flow: TcpFlow): number {
  const limit = flows.memoryIsShort ? RECEIVE_LIMIT_MIN : RECEIVE_LIMIT;
  return Math.max(0, limit - flow.inbound.pending);
}

/** Nothing is on its way and the window is closed: asks from time to time whether it has opened (RFC 9293 §3.8.6.1). */
function armProbe(now: number, flow: TcpFlow): void {
  if (flow.resendAt !== Infinity || flow.sendNext !== flow.sendUna) return;
  if (flow.outbound.end <= flow.sendNext || flow.sendEdge > flow.sendNext) return;
  flow.resendAt = now + Math.max(PROBE_MIN, flow.roundTrip.timeout(flow.backoff));
}
