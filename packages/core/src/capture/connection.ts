import { FlowEnd } from './flowkey.js';
import { StreamAssembler, type GapReason, type StoreBudget, type StreamSink } from './reassembly.js';

/** 0: the end that sent the first packet seen, usually the dialler; 1: the other. */
export type Side = 0 | 1;

/** How an end finished: with a FIN or a RST. */
export interface Closing {
  readonly side: Side;
  readonly how: 'FIN' | 'RST';
  /** seconds after the first packet */
  readonly after: number;
}

/** Takes what happens on TCP connections, in the order of the capture. */
export interface ConnectionSink {
  /** a SYN, or the first segment of a connection that was there before the capture began */
  opened(connection: TcpConnection): void;
  /** the other end answered the SYN with SYN and ACK */
  established(connection: TcpConnection): void;
  /** bytes in order; they may not be kept */
  data(
    connection: TcpConnection,
    side: Side,
    position: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void;
  gap(connection: TcpConnection, side: Side, position: number, length: number, why: GapReason): void;
  /** an end sent its first FIN or RST */
  closing(connection: TcpConnection, closing: Closing): void;
  /** no more will come of it: the capture ended, the address pair was used anew, or it was closed long ago */
  finished(connection: TcpConnection): void;
}

/** One TCP connection of a capture. */
export class TcpConnection {
  readonly ends: readonly [FlowEnd, FlowEnd];
  readonly streams: readonly [StreamAssembler, StreamAssembler];
  /** which end dialled; a guess unless `sawSyn` */
  dialler: Side = 0;
  sawSyn = false;
  established = false;
  readonly closings: Closing[] = [];
  /** seconds of the capture */
  readonly beganAt: number;
  lastAt: number;
  packets = 0;

  /** initial sequence numbers, or -1 */
  readonly initial: [number, number] = [-1, -1];
  /** offset in each stream up to which the other end has acknowledged */
  readonly acknowledged: [number, number] = [0, 0];
  /** for holes: since when (s; -1: there is none), where the stream stood then, and packets of the connection since */
  readonly holeSince: [number, number] = [-1, -1];
  readonly holePackets: [number, number] = [0, 0];
  readonly holeAt: [number, number] = [0, 0];

  /**
   * @param id counted from 0 in order of appearance
   * @param key of the flow
   * @param swapped whether end 0 comes second in it
   */
  constructor(
    readonly id: number,
    readonly key: string,
    readonly swapped: boolean,
    now: number,
    sink: ConnectionSink,
    store: StoreBudget,
  ) {
    this.ends = [new FlowEnd(key, swapped), new FlowEnd(key, !swapped)];
    this.beganAt = this.lastAt = now;
    this.streams = [
      new StreamAssembler(new SideSink(this, 0, sink), store),
      new StreamAssembler(new SideSink(this, 1, sink), store),
    ];
  }

  /** The end that was dialled. */
  get acceptor(): Side {
    return this.dialler === 0 ? 1 : 0;
  }

  /** Whether both ends have finished, or one has reset. */
  get isClosed(): boolean {
    let fins = 0;
    for (const { how } of this.closings) {
      if (how === 'RST') return true;
      fins++;
    }
    return fins >= 2;
  }

  /** Notes a FIN or RST; false when that end has sent one before. */
  close(side: Side, how: 'FIN' | 'RST', now: number): Closing | null {
    for (const closing of this.closings) if (closing.side === side && closing.how === how) return null;
    const closing = { side, how, after: now - this.beganAt };
    this.closings.push(closing);
    return closing;
  }
}

/** What one direction's assembler hands on, with where it comes from. */
class SideSink implements StreamSink {
  constructor(
    private readonly connection: TcpConnection,
    private readonly side: Side,
    private readonly sink: ConnectionSink,
  ) {}

  data(position: number, bytes: Uint8Array, offset: number, length: number): void {
    this.sink.data(this.connection, this.side, position, bytes, offset, length);
  }

  gap(position: number, length: number, why: GapReason): void {
    this.sink.gap(this.connection, this.side, position, length, why);
  }
}
