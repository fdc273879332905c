import { DUPLICATES, IDLE_TIMEOUT, MSS_DEFAULT, MSS_MIN, RECEIVE_LIMIT, WINDOW_SCALE } from './constants.js';
import { Phase, type TcpFlow } from './flow.js';
import type { TcpFlows } from './flows.js';
import { sendAck, sendSyn } from './output.js';
import { ACK, FIN, RST, SYN, TCP_HEADER, type Segment } from './segment.js';
import { Ranges } from '../ranges.js';

/** Shorter packets than these are not asked of us (RFC 8200 §5; IPv4 paths of less than 576 bytes are extinct: RFC 791 §3.1). */
const PATH_MTU_MIN_4 = 576;
const PATH_MTU_MIN_6 = 1280;
/** Selectively acknowledged ranges remembered per flow. */
const SACKED_MAX = 32;

/** What a segment of a known flow means (RFC 9293 §3.10.7, in the order given there). */
export function input(flows: TcpFlows, now: number, flow: TcpFlow, segment: Segment): void {
  switch (flow.phase) {
    case Phase.opening:
      if (segment.has(RST)) flows.abandon(flow);
      else if (segment.has(SYN)) readSyn(flows, flow, segment);
      return;
    case Phase.synSent:
      return inputSynSent(flows, now, flow, segment);
    case Phase.lingering:
      return inputLingering(flows, flow, segment);
    case Phase.gone:
      return;
  }
  const sequence = flow.offsetOfSequence(segment.sequence);
  if (segment.has(RST)) {
    // Anything in the window counts: the segments before it may be lost, and whoever is inside the tunnel has authenticated. Of others
    // its sender is asked whether it means this flow: if it has none, it answers with the number that we expect (as RFC 5961 §3.2 asks).
    if (sequence >= flow.ackSent && sequence <= Math.max(flow.edge, flow.inbound.accepted + 1)) flows.abandon(flow);
    else sendAck(flows, flow);
    return;
  }
  if (segment.has(SYN)) return inputSyn(flows, now, flow, segment);
  if (!segment.has(ACK)) return;
  const acknowledged = flow.offsetOfAck(segment.acknowledgement);
  if (flow.phase === Phase.synReceived) {
    if (acknowledged !== 0) return flows.replyReset(segment);
    establish(flows, now, flow);
  }
  flow.lastActivity = now;
  if (acknowledged > flow.sendMax) {
    flow.ackNow = true;
    return flows.mark(flow);
  }
  inputAck(flows, now, flow, segment, sequence, acknowledged);
  inputData(flow, segment, sequence);
  flows.mark(flow);
}

/** Takes what the other side's SYN says. */
export function readSyn(flows: TcpFlows, flow: TcpFlow, segment: Segment): void {
  flow.irs = segment.sequence;
  const theirs = segment.mss === 0 ? MSS_DEFAULT : Math.max(segment.mss, MSS_MIN);
  flow.mss = Math.min(theirs, flows.mssFor(flow));
  flow.congestion.start(flow.mss);
  flow.theirScale = Math.max(0, segment.scale);
  flow.ourScale = segment.scale >= 0 ? WINDOW_SCALE : 0;
  flow.sack = segment.sackPermitted;
  flow.sendEdge = segment.window;
  flow.windowSequence = 0;
  flow.windowAck = 0;
}

function establish(flows: TcpFlows, now: number, flow: TcpFlow): void {
  flows.admission.settled(flow);
  flow.phase = Phase.established;
  flow.roundTrip.acknowledged(now, 0);
  flow.resendAt = Infinity;
  flow.backoff = 0;
  flow.lifeAt = now + IDLE_TIMEOUT;
  flow.native!.established();
  if (flow.nativePaused) {
    flow.nativePaused = false;
    flow.native!.resume();
  }
}

function inputSynSent(flows: TcpFlows, now: number, flow: TcpFlow, segment: Segment): void {
  const acknowledged = segment.has(ACK) ? flow.offsetOfAck(segment.acknowledgement) : -1;
  if (segment.has(ACK) && acknowledged !== 0) {
    if (!segment.has(RST)) flows.replyReset(segment);
    return;
  }
  if (segment.has(RST)) {
    if (segment.has(ACK)) flows.failed(flow, 'refused');
    return;
  }
  if (!segment.has(SYN)) return;
  readSyn(flows, flow, segment);
  flow.lastActivity = now;
  if (segment.has(ACK)) {
    establish(flows, now, flow);
    // By itself, before any data: there are stacks that take the first data for it and wait (REFERENCES F.6).
    sendAck(flows, flow);
  } else {
    // Both sides opened the same flow at once (RFC 9293 figure 8).
    flow.phase = Phase.synReceived;
    sendSyn(flows, flow, true);
  }
  flows.mark(flow);
}

/** A SYN where there is a flow already. */
function inputSyn(flows: TcpFlows, now: number, flow: TcpFlow, segment: Segment): void {
  if (segment.sequence === flow.irs && !segment.has(ACK) && flow.phase === Phase.synReceived) {
    return sendSyn(flows, flow, true);
  }
  if (segment.sequence === flow.irs && segment.has(ACK) && flow.phase === Phase.synReceived) {
    // The second half of opening at once: their SYN again, with the acknowledgement of ours (RFC 9293 figure 8).
    if (flow.offsetOfAck(segment.acknowledgement) !== 0) return flows.replyReset(segment);
    establish(flows, now, flow);
    sendAck(flows, flow);
    return flows.mark(flow);
  }
  if (!segment.has(ACK) && flow.finAcked && flow.innerFinished) {
    // Both sides were done; only the native side still has to take the last bytes. The ports may be used again.
    flows.unlist(flow);
    return flows.syn(now, segment);
  }
  // Either a repeated SYN-ACK whose acknowledgement was lost, or whoever is there has forgotten this flow and will reset it
  // when it sees what we think (RFC 5961 §4.2).
  sendAck(flows, flow);
}

function inputLingering(flows: TcpFlows, flow: TcpFlow, segment: Segment): void {
  if (segment.has(RST)) return flows.remove(flow);
  // Anything but the acknowledgement that was expected means that ours was lost: a repeated FIN, old data, a probe.
  if (segment.has(SYN) || flow.offsetOfSequence(segment.sequence) < flow.ackSent) sendAck(flows, flow);
}

function inputAck(
  flows: TcpFlows,
  now: number,
  flow: TcpFlow,
  segment: Segment,
  sequence: number,
  acknowledged: number,
): void {
  const edge = acknowledged + segment.window * 2 ** flow.theirScale;
  const previousEdge = flow.sendEdge;
  if (acknowledged >= flow.sendUna && isNewsOfWindow(flow, sequence, acknowledged, edge)) {
    flow.sendEdge = edge;
    flow.windowSequence = sequence;
    flow.windowAck = acknowledged;
  }
  if (flow.sendEdge <= flow.sendUna) flow.unanswered = 0;
  const newlySacked = flow.sack && segment.sackCount > 0 && readSack(flow, segment);
  if (acknowledged > flow.sendUna) {
    inputProgress(flows, now, flow, acknowledged);
  } else if (acknowledged === flow.sendUna && flow.sendUna < flow.sendNext) {
    const plain = segment.dataLength === 0 && !segment.has(FIN);
    if (plain && (newlySacked || (!flow.sack && flow.sendEdge === previousEdge))) flow.duplicates++;
  } else if (acknowledged === flow.sendUna && flow.sendUna === flow.sendNext) {
    // An answer to a probe, or the window opened.
    flow.unanswered = 0;
    if (flow.sendEdge > flow.sendNext) {
      flow.backoff = 0;
      flow.resendAt = Infinity;
    }
  }
  if (flow.recoverTo < 0) maybeRecover(flow);
  else if (newlySacked) flow.resendTo = Math.max(flow.resendTo, Math.min(flow.sacked!.top, flow.recoverTo));
}

/**
 * The newest segment's word on the window counts, not the last one's to arrive (RFC 9293 §3.10.7.4). Where that seems to be that the window
 * is closed, any that opens it is believed: both ends may be sending old sequence numbers again, and each would wait for the other's new
 * ones. Believing it wrongly costs one segment.
 */
function isNewsOfWindow(flow: TcpFlow, sequence: number, acknowledged: number, edge: number): boolean {
  if (acknowledged > flow.windowAck || sequence > flow.windowSequence) return true;
  if (sequence === flow.windowSequence) return acknowledged >= flow.windowAck;
  return flow.sendEdge <= flow.sendUna && edge > flow.sendEdge;
}

/** Something new was acknowledged. */
function inputProgress(flows: TcpFlows, now: number, flow: TcpFlow, acknowledged: number): void {
  const bytes = acknowledged - flow.sendUna;
  const { inFlight } = flow;
  flows.release(flow, acknowledged);
  flow.sendUna = acknowledged;
  flow.sendNext = Math.max(flow.sendNext, acknowledged);
  flow.roundTrip.acknowledged(now, acknowledged);
  flow.sacked?.dropBelow(acknowledged);
  flow.duplicates = 0;
  flow.backoff = 0;
  flow.unanswered = 0;
  flow.resendNext = Math.max(flow.resendNext, acknowledged);
  if (flow.recoverTo < 0) {
    flow.congestion.acknowledged(bytes, inFlight);
  } else if (acknowledged >= flow.recoverTo) {
    flow.recoverTo = -1;
    flow.resendTo = flow.resendNext;
  } else if (!flow.sack) {
    // A partial acknowledgement names the next segment that is missing (RFC 6582 §3.2).
    flow.resendNext = acknowledged;
    flow.resendTo = Math.min(acknowledged + flow.mss, flow.recoverTo);
    flow.resendForced = true;
  }
  flow.resendAt = flow.sendUna < flow.sendNext ? now + flow.roundTrip.timeout(0) : Infinity;
}

/** Notes the blocks. @returns whether they say anything new */
function readSack(flow: TcpFlow, segment: Segment): boolean {
  flow.sacked ??= new Ranges(SACKED_MAX);
  const before = flow.sacked.covered(flow.sendUna, flow.sendMax);
  for (let i = 0; i < segment.sackCount; i++) {
    const start = flow.offsetOfAck(segment.view.getUint32(segment.sack + 8 * i));
    const end = flow.offsetOfAck(segment.view.getUint32(segment.sack + 8 * i + 4));
    if (start > flow.sendUna && end > start && end <= flow.sendMax) flow.sacked.add(start, end);
  }
  return flow.sacked.covered(flow.sendUna, flow.sendMax) > before;
}

/** The second sign of a loss begins a recovery: what is missing goes out again at once. */
function maybeRecover(flow: TcpFlow): void {
  if (flow.sendUna < flow.resentTo) return;
  const sacked = flow.sacked !== null ? flow.sacked.covered(flow.sendUna, flow.sendNext) : 0;
  if (flow.duplicates < DUPLICATES && sacked < DUPLICATES * flow.mss) return;
  flow.congestion.lost(flow.sendNext - flow.sendUna);
  flow.recoverTo = flow.sendNext;
  flow.resendNext = flow.sendUna;
  flow.resendTo = sacked > 0 ? flow.sacked!.top : Math.min(flow.sendUna + flow.mss, flow.sendNext);
  flow.resendForced = true;
}

function inputData(flow: TcpFlow, segment: Segment, sequence: number): void {
  const { inbound } = flow;
  let length = segment.dataLength;
  if (length === 0 && !segment.has(FIN)) {
    // An old sequence number asks for a sign of life (RFC 9293 §3.8.4).
    if (sequence < inbound.accepted && sequence < flow.ackSent) flow.ackNow = true;
    return;
  }
  if (segment.has(FIN) && flow.innerFin < 0 && sequence + length >= inbound.accepted) {
    if (sequence + length <= inbound.taken + RECEIVE_LIMIT) flow.innerFin = sequence + length;
  }
  const skip = Math.max(0, inbound.accepted - sequence);
  const start = sequence + skip;
  const limit = flow.innerFin >= 0 ? flow.innerFin : inbound.taken + RECEIVE_LIMIT;
  length = Math.min(length - skip, limit - start);
  const before = inbound.accepted;
  if (length > 0 && !flow.nativeEnded) {
    flow.largestSegment = Math.max(flow.largestSegment, segment.unit);
    if (!inbound.place(segment.view, segment.data + skip, start, length)) flow.ackNow = true;
  }
  // Whoever probes a closed window is told that it still is.
  if (flow.stalled) flow.ackNow = true;
  if (inbound.accepted === before && !(segment.has(FIN) && flow.innerFinished && !flow.nativeEnded)) {
    // Out of order, seen before, or more than was asked for: the sender should know where we are.
    flow.ackNow = true;
    flow.duplicatesDue++;
  }
}

/** The path takes packets of at most `mtu` bytes: what is out goes out again in segments that fit (RFC 1191 §6, RFC 8201 §5). */
export function shrink(flow: TcpFlow, mtu: number): void {
  const least = flow.ip.family === 4 ? PATH_MTU_MIN_4 : PATH_MTU_MIN_6;
  const mss = Math.max(mtu, least) - flow.ip.length - TCP_HEADER;
  if (mss >= flow.mss) return;
  flow.mss = mss;
  flow.congestion.shrink(mss);
  flow.recoverTo = flow.sendNext;
  flow.resendNext = flow.sendUna;
  flow.resendTo = flow.sendNext;
  flow.resendForced = true;
}
