import type { Closing, Side, TcpConnection } from './connection.js';
import type { DecodeSink, Moment } from './events.js';
import type { FlowEnd } from './flowkey.js';
import { Status, type Message } from './message.js';
import type { SkipReason } from './recordstream.js';
import { bytes, count, seconds } from './words.js';

/** A row of a sequence chart: an arrow from one end to another, or a remark about the two. */
export interface ChartRow {
  readonly kind: 'connection' | 'closing' | 'handshake' | 'data' | 'change';
  /** s since the first packet */
  readonly time: number;
  /** numbers of lifelines */
  readonly from: number;
  readonly to: number;
  readonly text: string;
  /** number of the carrier, for its colour: TCP connections as they are numbered, UDP flows likewise */
  readonly carrier: number;
  readonly isUdp: boolean;
  /** something that does not happen when all is well */
  readonly isOdd: boolean;
}

/** One host of the chart. */
export interface Lifeline {
  readonly address: string;
  /** what the keys call who sends handshakes from here */
  name: string;
}

/** Data in one direction on one carrier, not yet a row. */
interface Run {
  readonly time: number;
  readonly from: number;
  readonly to: number;
  readonly carrier: number;
  readonly isUdp: boolean;
  data: number;
  keepalives: number;
  bytes: number;
  resyncs: number;
  /** not decrypted for a reason other than missing keys, or refused */
  odd: number;
}

/** More of either make no chart that anybody can read. */
const ROWS_MAX = 2000;
const LIFELINES_MAX = 24;
/** Directions of sessions of which it is known what they were carried by. */
const CARRIERS_MAX = 4096;

/**
 * Gathers what a sequence chart shows: connections, handshakes, and what carries the data. Data is summed up between two other
 * events, one row for each carrier and direction.
 */
export class ChartRows implements DecodeSink {
  readonly rows: ChartRow[] = [];
  readonly lifelines: Lifeline[] = [];
  /** rows that there was no room for */
  left = 0;
  #first = 0;
  #runs = new Map<string, Run>();
  readonly #known = new Map<string, number>();
  /** by who sends to whom: what the last message took */
  readonly #carriers = new Map<string, string>();

  began(at: Moment): void {
    this.#first = at.seconds + at.nanoseconds / 1e9;
  }

  ended(): void {}

  interface(): void {}

  /** Nothing more will come. */
  finish(): void {
    this.#flush();
  }

  message(m: Message): void {
    if (m.type === 0) return;
    const [from, to] = this.#ends(m.from, m.to);
    if (from < 0 || to < 0) return;
    if (m.type === 4) {
      this.#carried(m, from, to);
      const run = this.#run(m, from, to);
      if (m.isKeepalive) run.keepalives++;
      else run.data++;
      run.bytes += m.length;
      if (m.status === Status.replayed || m.status === Status.failed || m.status === Status.cut) run.odd++;
      return;
    }
    const info = m.handshake;
    const name = info?.sender?.name;
    if (name !== undefined) this.lifelines[from]!.name = name;
    const what = ['', 'initiation', 'response', 'cookie reply'][m.type]!;
    const parts: string[] = [];
    const session = info?.session ?? null;
    if (session !== null) {
      const how = info!.rekey ? 'rekey' : 'handshake';
      parts.push(`${how} in ${seconds(info!.answers!.roundTrip)}, session ${session.id}`);
    }
    if (info?.repeated === true) parts.push('seen before');
    if (info !== null) parts.push(info.verdict === 'unknown' ? 'not verified' : info.verdict);
    const isOdd = info?.repeated === true || info?.verdict === 'failed' || m.status === Status.cut;
    const text = parts.length === 0 ? what : `${what}: ${parts.join(', ')}`;
    this.#row('handshake', m, from, to, text, carrierOf(m), isOdd);
  }

  connectionOpened(connection: TcpConnection, at: Moment): void {
    const { id, ends, dialler, acceptor, sawSyn } = connection;
    const what = sawSyn ? `tcp ${id}: dials port ${ends[acceptor].port}` : `tcp ${id} was there before`;
    this.#event('connection', connection, dialler, at, what, false);
  }

  connectionEstablished(connection: TcpConnection, at: Moment): void {
    const after = seconds(at.seconds + at.nanoseconds / 1e9 - connection.beganAt);
    this.#event(
      'connection',
      connection,
      connection.acceptor,
      at,
      `tcp ${connection.id}: accepted after ${after}`,
      false,
    );
  }

  connectionClosing(connection: TcpConnection, closing: Closing, at: Moment): void {
    const { id } = connection;
    const isReset = closing.how === 'RST';
    const isRefused = isReset && !connection.established && closing.side !== connection.dialler && connection.sawSyn;
    const what = isRefused ? 'refused' : isReset ? 'reset' : 'closed';
    this.#event('closing', connection, closing.side, at, `tcp ${id}: ${what} after ${seconds(closing.after)}`, isReset);
  }

  connectionFinished(): void {}

  skipped(
    connection: TcpConnection,
    side: Side,
    _position: number,
    _length: number,
    why: SkipReason,
    at: Moment,
  ): void {
    if (why !== 'garbage') return;
    const [from, to] = this.#ends(connection.ends[side], connection.ends[side === 0 ? 1 : 0]);
    if (from >= 0 && to >= 0) this.#run({ ...at, connection, flow: null }, from, to).resyncs++;
  }

  gap(connection: TcpConnection, side: Side, _position: number, length: number, _why: unknown, at: Moment): void {
    if (length === 0) return;
    const text = `tcp ${connection.id}: ${count(length, 'byte')} missing from the capture`;
    this.#event('change', connection, side, at, text, true);
  }

  notice(): void {}

  /** Notices when messages of one peer to another take another carrier than those before. */
  #carried(m: Message, from: number, to: number): void {
    const session = m.direction?.session;
    if (session === undefined) return;
    const parties = [session.initiator?.id ?? `${session.id}`, session.responder?.id ?? ''];
    const who = (m.direction!.from === 0 ? parties : parties.reverse()).join(' ');
    const { id, isUdp } = carrierOf(m);
    const now = `${isUdp ? 'udp' : 'tcp'} ${id}`;
    const before = this.#carriers.get(who);
    if (before === now) return;
    if (this.#carriers.size >= CARRIERS_MAX) this.#carriers.clear();
    this.#carriers.set(who, now);
    if (before === undefined) return;
    this.#row('change', m, from, to, `carrier change: ${before} → ${now}`, carrierOf(m), false);
  }

  #event(
    kind: ChartRow['kind'],
    connection: TcpConnection,
    side: Side,
    at: Moment,
    text: string,
    isOdd: boolean,
  ): void {
    const [from, to] = this.#ends(connection.ends[side], connection.ends[side === 0 ? 1 : 0]);
    if (from >= 0 && to >= 0) this.#row(kind, at, from, to, text, { id: connection.id, isUdp: false }, isOdd);
  }

  #row(
    kind: ChartRow['kind'],
    at: Moment,
    from: number,
    to: number,
    text: string,
    carrier: Carrier,
    isOdd: boolean,
  ): void {
    this.#flush();
    this.#add({ kind, time: this.#time(at), from, to, text, carrier: carrier.id, isUdp: carrier.isUdp, isOdd });
  }

  #add(row: ChartRow): void {
    if (this.rows.length < ROWS_MAX) this.rows.push(row);
    else this.left++;
  }

  #run(at: Moment & Pick<Message, 'connection' | 'flow'>, from: number, to: number): Run {
    const { id, isUdp } = carrierOf(at);
    const key = `${isUdp} ${id} ${from}`;
    let run = this.#runs.get(key);
    if (run === undefined) {
      const counts = { data: 0, keepalives: 0, bytes: 0, resyncs: 0, odd: 0 };
      run = { time: this.#time(at), from, to, carrier: id, isUdp, ...counts };
      this.#runs.set(key, run);
    }
    return run;
  }

  #flush(): void {
    if (this.#runs.size === 0) return;
    for (const { data, keepalives, bytes: size, resyncs, odd, ...where } of this.#runs.values()) {
      const parts = [
        data > 0 ? `${data} data` : '',
        keepalives > 0 ? count(keepalives, 'keepalive') : '',
        resyncs > 0 ? count(resyncs, 'resync') : '',
        odd > 0 ? `${odd} of them replayed, failed or cut` : '',
      ].filter(Boolean);
      const carrier = `${where.isUdp ? 'udp' : 'tcp'} ${where.carrier}`;
      const text = `${carrier}: ${parts.join(', ')}${size > 0 ? `, ${bytes(size)}` : ''}`;
      this.#add({ kind: 'data', ...where, text, isOdd: resyncs > 0 || odd > 0 });
    }
    this.#runs = new Map();
  }

  /** Lifelines of two ends; by their addresses, or with ports where both have the same. -1: there is no room for it. */
  #ends(from: FlowEnd, to: FlowEnd): [number, number] {
    if (from.address === to.address) return [this.#lifeline(from.text), this.#lifeline(to.text)];
    return [this.#lifeline(from.address), this.#lifeline(to.address)];
  }

  #lifeline(address: string): number {
    const known = this.#known.get(address);
    if (known !== undefined) return known;
    if (this.lifelines.length >= LIFELINES_MAX) return -1;
    this.#known.set(address, this.lifelines.length);
    return this.lifelines.push({ address, name: '' }) - 1;
  }

  #time(at: Moment): number {
    return Math.max(0, at.seconds + at.nanoseconds / 1e9 - this.#first);
  }
}

interface Carrier {
  readonly id: number;
  readonly isUdp: boolean;
}

function carrierOf({ connection, flow }: Pick<Message, 'connection' | 'flow'>): Carrier {
  return connection === null ? { id: flow!.id, isUdp: true } : { id: connection.id, isUdp: false };
}
