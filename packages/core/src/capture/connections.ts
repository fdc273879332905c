import { TcpConnection, type ConnectionSink, type Side } from './connection.js';
import { FlowKey } from './flowkey.js';
import { Tcp, type IpView } from './ipview.js';
import type { StoreBudget } from './reassembly.js';

/** Connections followed at once; the one that was silent longest gives way. Each takes up to some 10 KiB besides what waits. */
const CONNECTIONS_MAX = 4096;
/** A closed connection is kept that long for stragglers, s (TIME_WAIT, RFC 9293 §3.6.1, at Linux's 60 s). */
const LINGER = 60;
/** A hole whose bytes the other end has acknowledged is not going to be filled: they were missed by the capture. It is waited for only because captures reorder a little. */
const ACKNOWLEDGED_SECONDS = 1;
const ACKNOWLEDGED_PACKETS = 8;
/** … however little time has passed, after so many more packets. */
const ACKNOWLEDGED_MANY = 64;
/** A hole is given up after this when the connection is quiet, or when only one direction was captured. */
const HOLE_SECONDS = 10;
/** A stream joined in the middle waits that long for segments that were captured out of order. */
const JOIN_SECONDS = 0.2;
const JOIN_PIECES = 4;
/** Acknowledgements farther ahead than any window are damage (RFC 7323 §2.3). */
const WINDOW_MAX = 1 << 30;
/** A SYN that is captured behind its connection's first segments is not farther from them than this. */
const SYN_NEAR = 1 << 20;
/** WireGuard's usual port (wg-quick(8) examples), which is the listening end when nothing better is known. */
const USUAL_PORT = 51820;

/**
 * Follows all TCP connections of a capture.
 *
 * Theory of operation. Segments are sorted by their pair of addresses and ports, and each direction goes through a
 * StreamAssembler. A SYN begins a connection; a SYN with another sequence number on the same pair begins the next one. Without a SYN
 * a connection begins with its first byte of payload, in the middle. Holes are given up when the other end acknowledged the
 * bytes (then the capture missed them), when time passes, when the connection ends, or when too much waits.
 */
export class ConnectionTable {
  /** connections seen so far */
  count = 0;
  readonly #flows = new Map<string, TcpConnection>();
  readonly #troubled = new Set<TcpConnection>();
  readonly #key = new FlowKey();
  readonly #store: StoreBudget = { used: 0 };
  readonly #listening = new Set<number>();
  #sweptAt = -Infinity;
  #last: TcpConnection | null = null;

  /** @param listenPorts ports that are known to be listened on, for connections joined in the middle */
  constructor(
    private readonly sink: ConnectionSink,
    listenPorts: Iterable<number> = [],
  ) {
    for (const port of listenPorts) this.#listening.add(port);
  }

  /** connections followed now */
  get open(): number {
    return this.#flows.size;
  }

  /** bytes that wait behind holes, with what keeping them costs */
  get waitingBytes(): number {
    return this.#store.used;
  }

  /**
   * Takes a segment (IpView.parseTcp has been called).
   * @param now s, of the capture
   */
  segment(view: IpView, bytes: Uint8Array, now: number): void {
    if (now - this.#sweptAt >= 1 || now < this.#sweptAt) this.#sweep(now);
    this.#key.set(view, bytes);
    const { flags } = view;
    let flow = this.#last !== null && this.#last.key === this.#key.key ? this.#last : this.#flows.get(this.#key.key);
    if (flow !== undefined && (flags & Tcp.syn) !== 0 && this.#isAnother(flow, view)) {
      this.#finish(flow);
      flow = undefined;
    }
    if (flow === undefined) {
      if ((flags & Tcp.syn) === 0 && view.payloadLength === 0) return;
      flow = this.#open(view, now);
    }
    this.#last = flow;
    const side: Side = this.#key.swapped === flow.swapped ? 0 : 1;
    flow.packets++;
    flow.lastAt = now;
    if ((flags & Tcp.syn) !== 0) this.#syn(flow, side, view);
    const stream = flow.streams[side];
    const data = (flags & Tcp.syn) !== 0 ? (view.sequence + 1) >>> 0 : view.sequence;
    // What a reset carries is a message for people, not part of the stream (RFC 9293 §3.5.2).
    if (view.payloadLength > 0 && (flags & Tcp.rst) === 0) {
      stream.segment(data, bytes, view.payloadOffset, view.captured, view.payloadLength);
    }
    if ((flags & Tcp.ack) !== 0) this.#acknowledge(flow, side, view.acknowledgement);
    if (!stream.anchored && stream.pieces >= JOIN_PIECES) stream.anchor();
    this.#watch(flow, 0, now);
    this.#watch(flow, 1, now);
    if ((flags & (Tcp.fin | Tcp.rst)) !== 0) this.#closing(flow, side, (flags & Tcp.rst) !== 0 ? 'RST' : 'FIN', now);
  }

  /** Nothing comes, and it is that late: what has waited long enough for its predecessors is handed on. */
  idle(now: number): void {
    if (now - this.#sweptAt >= 1) this.#sweep(now);
  }

  /** Ends all connections (end of the capture), in order of appearance. */
  end(): void {
    for (const flow of [...this.#flows.values()].sort((a, b) => a.id - b.id)) this.#finish(flow);
  }

  #open(view: IpView, now: number): TcpConnection {
    if (this.#flows.size >= CONNECTIONS_MAX) this.#evict();
    const flow = new TcpConnection(this.count++, this.#key.key, this.#key.swapped, now, this.sink, this.#store);
    const isSyn = (view.flags & Tcp.syn) !== 0;
    flow.sawSyn = isSyn;
    if (isSyn) flow.dialler = (view.flags & Tcp.ack) !== 0 ? 1 : 0;
    else flow.dialler = this.#isListening(view.sourcePort, view.destinationPort) ? 1 : 0;
    if (isSyn) this.#listening.add(flow.ends[flow.acceptor].port);
    this.#flows.set(flow.key, flow);
    this.#last = flow;
    this.sink.opened(flow);
    return flow;
  }

  /** Whether the first of two ports is the likelier one to be listened on. */
  #isListening(first: number, second: number): boolean {
    for (const port of [first, second]) if (this.#listening.has(port)) return port === first;
    return first === USUAL_PORT || (second !== USUAL_PORT && first < second);
  }

  /** Whether a SYN belongs to another connection than the one that this pair of addresses had so far. */
  #isAnother(flow: TcpConnection, view: IpView): boolean {
    const side: Side = this.#key.swapped === flow.swapped ? 0 : 1;
    const known = flow.initial[side];
    if (known >= 0) return known !== view.sequence;
    const stream = flow.streams[side];
    if (!stream.begun) {
      // Nobody sends anything before the SYN of the one who dials.
      return (view.flags & Tcp.ack) === 0 && flow.streams[side === 0 ? 1 : 0].hasCarried;
    }
    // Data that was captured before its own SYN: where it begins may be known from the other end's answer to that.
    const ahead = -stream.offsetOf((view.sequence + 1) >>> 0);
    return stream.anchored ? ahead !== 0 : ahead < 0 || ahead > SYN_NEAR;
  }

  #syn(flow: TcpConnection, side: Side, view: IpView): void {
    flow.initial[side] = view.sequence;
    flow.streams[side].anchor((view.sequence + 1) >>> 0);
    if ((view.flags & Tcp.ack) === 0) {
      if (!flow.sawSyn) flow.dialler = side;
      flow.sawSyn = true;
      return;
    }
    if (!flow.sawSyn) flow.dialler = side === 0 ? 1 : 0;
    flow.sawSyn = true;
    if (flow.established) return;
    flow.established = true;
    this.sink.established(flow);
  }

  /** `side` acknowledges the other end's bytes. */
  #acknowledge(flow: TcpConnection, side: Side, acknowledgement: number): void {
    const other: Side = side === 0 ? 1 : 0;
    const stream = flow.streams[other];
    if (!stream.anchored) {
      // The answer to the SYN was missed, but this acknowledges it.
      if (flow.sawSyn && !stream.begun) stream.anchor(acknowledgement);
      return;
    }
    let offset = stream.offsetOf(acknowledgement);
    // A FIN takes a number, too.
    if (flow.closings.some((closing) => closing.side === other && closing.how === 'FIN')) offset--;
    if (offset > flow.acknowledged[other] && offset <= stream.position + WINDOW_MAX) flow.acknowledged[other] = offset;
  }

  /** Looks whether the stream has a hole, and whether it is time to give it up. */
  #watch(flow: TcpConnection, side: Side, now: number): void {
    const stream = flow.streams[side];
    if (!stream.hasHole) {
      if (flow.holeSince[side] >= 0) this.#calm(flow, side);
      return;
    }
    if (flow.holeSince[side] < 0 || flow.holeAt[side] !== stream.position) {
      this.#troubled.add(flow);
      this.#restartPatience(flow, side, now);
    }
    flow.holePackets[side]++;
    this.#patience(flow, side, now);
  }

  /** As long as the stream makes progress below it, what waits far ahead may just be damaged. */
  #restartPatience(flow: TcpConnection, side: Side, now: number): void {
    flow.holeSince[side] = now;
    flow.holeAt[side] = flow.streams[side].position;
    flow.holePackets[side] = 0;
  }

  #patience(flow: TcpConnection, side: Side, now: number): void {
    const stream = flow.streams[side];
    const waited = now - flow.holeSince[side];
    const packets = flow.holePackets[side];
    const acknowledged = flow.acknowledged[side];
    if (!stream.anchored) {
      if (waited < JOIN_SECONDS) return;
      stream.anchor();
    } else if (acknowledged > stream.position) {
      const isLate = waited >= ACKNOWLEDGED_SECONDS && packets >= ACKNOWLEDGED_PACKETS;
      if (!isLate && packets < ACKNOWLEDGED_MANY && waited < HOLE_SECONDS) return;
      stream.skipHole(acknowledged);
    } else {
      // The other end is heard, and does not have these bytes either: they may still come.
      if (acknowledged > 0 || waited < HOLE_SECONDS) return;
      stream.skipHole();
    }
    if (stream.hasHole) this.#restartPatience(flow, side, now);
    else this.#calm(flow, side);
  }

  #calm(flow: TcpConnection, side: Side): void {
    flow.holeSince[side] = -1;
    if (flow.holeSince[0] < 0 && flow.holeSince[1] < 0) this.#troubled.delete(flow);
  }

  #closing(flow: TcpConnection, side: Side, how: 'FIN' | 'RST', now: number): void {
    const closing = flow.close(side, how, now);
    if (closing !== null) this.sink.closing(flow, closing);
  }

  #finish(flow: TcpConnection): void {
    if (this.#flows.get(flow.key) === flow) this.#flows.delete(flow.key);
    if (this.#last === flow) this.#last = null;
    this.#troubled.delete(flow);
    for (const side of [0, 1] as const) {
      const stream = flow.streams[side];
      stream.end();
      // One more than there was: a FIN that was missed.
      if (flow.acknowledged[side] > stream.position + 1) stream.end(flow.acknowledged[side]);
    }
    this.sink.finished(flow);
  }

  /** Once a second: holes whose time has come, and connections that were closed long ago. */
  #sweep(now: number): void {
    this.#sweptAt = now;
    for (const flow of this.#troubled) {
      for (const side of [0, 1] as const) if (flow.holeSince[side] >= 0) this.#patience(flow, side, now);
    }
    for (const flow of this.#flows.values()) if (flow.isClosed && now - flow.lastAt > LINGER) this.#finish(flow);
  }

  /** Makes room by finishing the connections that were silent longest, closed ones first. */
  #evict(): void {
    const flows = [...this.#flows.values()];
    flows.sort((a, b) => Number(b.isClosed) - Number(a.isClosed) || a.lastAt - b.lastAt);
    for (const flow of flows.slice(0, CONNECTIONS_MAX / 16)) this.#finish(flow);
  }
}
