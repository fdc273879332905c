import type { Scheduled } from '../../device/deadlines.js';
import type { FlowEntry } from '../flowtable.js';
import { IpHeader } from '../ipheader.js';
import { PROTOCOL_TCP } from '../ippacket.js';
import type { NativeStream, Path } from '../native.js';
import type { Ranges } from '../ranges.js';
import { Congestion } from './congestion.js';
import { MSS_DEFAULT, SYN_TIMEOUT } from './constants.js';
import { Inbound, type BufferSource } from './inbound.js';
import { Outbound } from './outbound.js';
import { RoundTrip } from './roundtrip.js';

export const enum Phase {
  /** SYN came from the inner side; the native connection is being made, and the inner side hears nothing yet */
  opening,
  /** SYN-ACK sent */
  synReceived,
  /** SYN sent to the inner side, for something on the native side */
  synSent,
  established,
  /** both directions ended in order; kept to answer a repeated FIN */
  lingering,
  /** reset by this side; kept to repeat that */
  resetting,
  gone,
}

/**
 * One TCP flow between the inner side (a peer) and the native side.
 *
 * Positions are stream offsets that only grow: 0 is the first byte of data, a FIN takes the offset behind the last one. They become 32-bit
 * sequence numbers, and the other way round, only where a segment is written or read, so that nothing else has to know of wrapping.
 */
export class TcpFlow implements FlowEntry, Scheduled {
  // FlowEntry, Scheduled
  hash = 0;
  next: FlowEntry | null = null;
  deadline = Infinity;
  heapIndex = -1;

  phase: Phase;
  native: NativeStream | null = null;
  /** whether the flow table still leads here */
  isListed = false;
  /** whether it is in the list of flows that have something to do at the end of the turn */
  isQueued = false;
  readonly ip: IpHeader;

  // ---- to the inner side
  /** initial sequence numbers: ours and theirs */
  iss = 0;
  irs = 0;
  readonly outbound = new Outbound();
  /** acknowledged; to be sent next; highest sent, all FIN included */
  sendUna = 0;
  sendNext = 0;
  sendMax = 0;
  /** up to here the inner side's window lets us send */
  sendEdge = 0;
  /** the segment that the window was taken from (RFC 9293 §3.10.7.4: SND.WL1, SND.WL2) */
  windowSequence = 0;
  windowAck = 0;
  /** bytes of data per segment */
  mss = MSS_DEFAULT;
  /** shift of the windows that they advertise, and that we do; 0 when not both sides scale */
  theirScale = 0;
  ourScale = 0;
  sack = false;
  /** selectively acknowledged; made with the first block */
  sacked: Ranges | null = null;
  readonly congestion: Congestion;
  readonly roundTrip = new RoundTrip();
  duplicates = 0;
  /** in recovery: it ends when this is acknowledged; else -1 */
  recoverTo = -1;
  /** after a time-out everything up to here goes out again in order; duplicates of it are no sign of another loss */
  resentTo = 0;
  /** [resendNext, resendTo) is thought to be lost, apart from what was selectively acknowledged */
  resendNext = 0;
  resendTo = 0;
  /** the first segment of a recovery goes out whatever the congestion window says */
  resendForced = false;
  /** when to send something again, or to probe */
  resendAt = Infinity;
  /** waits in vain since the last progress, and times in a row that not even a sign of life came */
  backoff = 0;
  unanswered = 0;
  nativePaused: boolean;
  /** the native side will send no more */
  nativeEof = false;

  // ---- from the inner side
  readonly inbound: Inbound;
  /** offset of their FIN, or -1 */
  innerFin = -1;
  /** whether `native.end` was called */
  nativeEnded = false;
  /** last acknowledged, and the edge of the window that went with it */
  ackSent = 0;
  edge = 0;
  ackNow = false;
  /** acknowledgements owed to out-of-order segments: without SACK the sender counts them */
  duplicatesDue = 0;
  ackAt = Infinity;
  /** the longest segment seen: what they send at a time */
  largestSegment = 1;
  /** the native side takes nothing: the window is closed */
  stalled = false;
  stallAt = Infinity;

  // ---- life
  /** the native side is gone, in order */
  orphaned = false;
  /** begun by a peer and not established yet */
  isHalfOpen = false;
  lastActivity: number;
  /** when it ends unless something happens; for established flows looked up when it is due */
  lifeAt: number;
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
    buffers: BufferSource,
    readonly createdAt: number,
  ) {
    this.phase = origin === 'inner' ? Phase.opening : Phase.synSent;
    this.nativePaused = origin === 'native';
    this.ip = new IpHeader(local, remote, PROTOCOL_TCP);
    this.congestion = new Congestion(MSS_DEFAULT);
    this.inbound = new Inbound(buffers);
    this.lastActivity = createdAt;
    this.lifeAt = createdAt + SYN_TIMEOUT;
  }

  /** The sequence number of an offset in what we send; -1 is the SYN. */
  sequenceOf(offset: number): number {
    return (this.iss + 1 + offset) >>> 0;
  }

  /** The offset in what we send that an acknowledgement number near `sendUna` means. */
  offsetOfAck(acknowledgement: number): number {
    return this.sendUna + ((acknowledgement - this.sequenceOf(this.sendUna)) | 0);
  }

  /** The offset in what they send that a sequence number near what was accepted means. */
  offsetOfSequence(sequence: number): number {
    const { accepted } = this.inbound;
    return accepted + ((sequence - ((this.irs + 1 + accepted) >>> 0)) | 0);
  }

  /** What may be acknowledged: what the native side has taken, and their FIN once it was passed on behind that. */
  get ackOffset(): number {
    const { taken } = this.inbound;
    return this.nativeEnded && taken === this.innerFin ? taken + 1 : taken;
  }

  /** Whether their FIN and everything before it has arrived. */
  get innerFinished(): boolean {
    return this.innerFin >= 0 && this.inbound.accepted === this.innerFin;
  }

  /** Whether our FIN has been acknowledged. */
  get finAcked(): boolean {
    return this.nativeEof && this.sendUna > this.outbound.end;
  }

  /** Bytes that are thought to be on their way. */
  get inFlight(): number {
    let bytes = this.sendNext - this.sendUna;
    if (this.sacked !== null && this.sacked.size > 0) {
      bytes -= this.sacked.covered(this.sendUna, this.sendNext);
      if (this.resendNext < this.resendTo) {
        bytes -= this.resendTo - this.resendNext - this.sacked.covered(this.resendNext, this.resendTo);
      }
    } else {
      bytes -= this.duplicates * this.mss + Math.max(0, this.resendTo - this.resendNext);
    }
    return Math.max(0, bytes);
  }

  /** What remains of a segment when the SACK blocks of an acknowledgement must fit in too. */
  get hasSackToSend(): boolean {
    return this.sack && this.inbound.hasGaps;
  }
}
