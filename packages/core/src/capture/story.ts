import { tai64nToWallTime } from '../noise/tai64n.js';
import type { Closing, Side, TcpConnection } from './connection.js';
import type { DecodeSink, Moment, Notice } from './events.js';
import { describeInner } from './inner.js';
import type { Party } from './keyring.js';
import { Status, type Message } from './message.js';
import type { Paint } from './paint.js';
import type { GapReason } from './reassembly.js';
import type { SkipReason } from './recordstream.js';
import { bytes, count, seconds } from './words.js';

/** A run of transport messages that differ in nothing that one line cannot say. */
interface Run {
  readonly carrier: string;
  readonly arrow: string;
  readonly status: Status;
  readonly session: number;
  readonly at: string;
  readonly firstLine: string;
  readonly firstCounter: number;
  lastCounter: number;
  messages: number;
  bytes: number;
  innerBytes: number;
}

/**
 * The timeline for people: one line per event, seconds since the first packet at its beginning. Transport messages that follow each
 * other in one direction become one line, unless everything is wanted.
 */
export class Story implements DecodeSink {
  #firstSeconds = 0;
  #firstNanoseconds = 0;
  #run: Run | null = null;

  /**
   * @param write takes one line, without its end
   * @param all one line for each message
   */
  constructor(
    private readonly write: (line: string) => void,
    private readonly paint: Paint,
    private readonly all = false,
  ) {}

  began(at: Moment): void {
    this.#firstSeconds = at.seconds;
    this.#firstNanoseconds = at.nanoseconds;
  }

  ended(): void {}

  interface(): void {}

  /** Writes what waits to be summed up with what may follow. */
  flush(): void {
    const run = this.#run;
    if (run === null) return;
    this.#run = null;
    if (run.messages === 1) {
      this.write(run.firstLine);
      return;
    }
    const session = run.session < 0 ? '' : `  session ${run.session}`;
    const inside = run.innerBytes === 0 ? '' : `  ${bytes(run.innerBytes)} inside`;
    const counters = `  counters ${run.firstCounter}–${run.lastCounter}`;
    const what = `${count(run.messages, 'data message')}  ${bytes(run.bytes)}${session}${counters}${inside}`;
    this.write(`${run.at} ${run.carrier} ${run.arrow} ${what}${this.#complaint(run.status)}`);
  }

  message(m: Message): void {
    if (m.type === 4 && !m.isKeepalive && !this.all) return this.#data(m);
    this.flush();
    this.write(this.#messageLine(m));
  }

  connectionOpened(connection: TcpConnection, at: Moment): void {
    const { ends, dialler, acceptor, sawSyn } = connection;
    const ends2 = `${ends[dialler].text} → ${ends[acceptor].text}`;
    this.#event(connection, at, sawSyn ? `${ends2} dials` : `${ends2} was there before the capture began`);
  }

  connectionEstablished(connection: TcpConnection, at: Moment): void {
    const after = at.seconds + at.nanoseconds / 1e9 - connection.beganAt;
    this.#event(connection, at, this.paint.dim(`accepted after ${seconds(after)}`));
  }

  connectionClosing(connection: TcpConnection, closing: Closing, at: Moment): void {
    const isDialler = closing.side === connection.dialler;
    const who = isDialler ? 'dialler' : 'acceptor';
    const refused = closing.how === 'RST' && !isDialler && !connection.established && connection.sawSyn;
    const what = refused ? 'refused' : closing.how === 'RST' ? `reset by the ${who}` : `closed by the ${who}`;
    const text = `${what} after ${seconds(closing.after)}`;
    this.#event(connection, at, closing.how === 'RST' ? this.paint.odd(text) : this.paint.dim(text));
  }

  connectionFinished(): void {}

  skipped(connection: TcpConnection, side: Side, position: number, length: number, why: SkipReason, at: Moment): void {
    const text =
      why === 'garbage'
        ? `resync: ${count(length, 'byte')} at offset ${position} ${length === 1 ? 'belongs' : 'belong'} to no record`
        : `the next record begins ${count(length, 'byte')} behind offset ${position}`;
    this.#event(connection, at, this.paint.odd(text), side);
  }

  gap(connection: TcpConnection, side: Side, position: number, length: number, why: GapReason, at: Moment): void {
    const be = length === 1 ? ['was', 'is'] : ['were', 'are'];
    const how = why === 'cut' ? `${be[0]} cut off by the capture` : `${be[1]} missing from the capture`;
    this.#event(connection, at, this.paint.odd(`${count(length, 'byte')} at offset ${position} ${how}`), side);
  }

  notice(notice: Notice): void {
    // Errors go to the caller, who says them at the end.
    if (notice.isError) return;
    this.flush();
    this.write(this.paint.odd(`${' '.repeat(13)} ${notice.message}`));
  }

  #event(connection: TcpConnection, at: Moment, what: string, side?: Side): void {
    this.flush();
    const arrow = side === undefined ? ' ' : arrowOf(connection, side);
    this.write(`${this.#time(at)} ${carrierOf(connection.id, 'tcp')} ${arrow} ${what}`);
  }

  #time(at: Moment): string {
    const t = at.seconds - this.#firstSeconds + (at.nanoseconds - this.#firstNanoseconds) / 1e9;
    return this.paint.dim(t.toFixed(6).padStart(13));
  }

  #data(m: Message): void {
    const carrier = m.connection !== null ? carrierOf(m.connection.id, 'tcp') : carrierOf(m.flow!.id, 'udp');
    const arrow = m.connection !== null ? arrowOf(m.connection, m.side) : m.side === 0 ? '→' : '←';
    const session = m.direction?.session.id ?? -1;
    const run = this.#run;
    if (run?.carrier === carrier && run.arrow === arrow && run.session === session && run.status === m.status) {
      run.messages++;
      run.bytes += m.length;
      run.innerBytes += m.innerLength;
      run.lastCounter = m.counter;
      return;
    }
    this.flush();
    this.#run = {
      carrier,
      arrow,
      session,
      status: m.status,
      at: this.#time(m),
      firstLine: this.#messageLine(m),
      firstCounter: m.counter,
      lastCounter: m.counter,
      messages: 1,
      bytes: m.length,
      innerBytes: m.innerLength,
    };
  }

  #messageLine(m: Message): string {
    const carrier = m.connection !== null ? carrierOf(m.connection.id, 'tcp') : carrierOf(m.flow!.id, 'udp');
    const arrow = m.connection !== null ? arrowOf(m.connection, m.side) : m.side === 0 ? '→' : '←';
    const ends = m.flow === null ? '' : this.paint.dim(`  ${m.from.text} → ${m.to.text}`);
    const what =
      m.type === 4 ? this.#dataText(m) : m.type === 0 ? 'a record that holds no message' : this.#handshakeText(m);
    const isInitiation = m.type === 1 && m.flow !== null;
    return `${this.#time(m)} ${carrier} ${arrow} ${what}${isInitiation ? ends : ''}${this.#complaint(m.status)}`;
  }

  #dataText(m: Message): string {
    const session = m.direction === null ? `  receiver ${hex(m.receiver)}` : `  session ${m.direction.session.id}`;
    const head = `${m.isKeepalive ? 'keepalive' : 'data'}  ${m.length} B${session}  counter ${m.counter}`;
    if (m.innerLength === 0) return m.isKeepalive ? this.paint.dim(head) : head;
    const inner = describeInner(m.inner, 0, m.innerLength);
    if (inner.version === 0) return `${head}  ${this.paint.odd(inner.info)}`;
    const from = inner.sourcePort === undefined ? inner.source : `${bracketed(inner.source)}:${inner.sourcePort}`;
    const to =
      inner.destinationPort === undefined
        ? inner.destination
        : `${bracketed(inner.destination)}:${inner.destinationPort}`;
    const segments = m.segmentSize === 0 ? '' : `, in segments of ${m.segmentSize}`;
    return `${head}  ${this.paint.name(`${from} → ${to}`)} ${inner.protocol} ${inner.info}${segments}`;
  }

  #handshakeText(m: Message): string {
    const info = m.handshake;
    if (info === null) return `${NAMES[m.type]}  ${m.length} B`;
    const judge =
      info.verdict === 'verified' ? this.paint.good : info.verdict === 'failed' ? this.paint.bad : this.paint.odd;
    const parts = [this.paint.bold(NAMES[m.type]!), `${m.length} B`];
    if (m.sender >= 0) parts.push(`sender ${hex(m.sender)}`);
    if (m.receiver >= 0) parts.push(`${m.type === 3 ? 'to' : 'answers'} ${hex(m.receiver)}`);
    if (info.sender !== null || (m.type === 1 && info.receiver !== null)) {
      parts.push(this.paint.name(`${nameOf(info.sender)} → ${nameOf(info.receiver)}`));
    }
    if (info.repeated) parts.push(this.paint.odd('seen before'));
    if (info.mac2Set) parts.push('with a cookie');
    if (info.tai64n !== null) parts.push(`made at ${timestamp(info.tai64n)}`);
    if (info.session !== null) {
      const how = `${info.rekey ? 'rekey' : 'handshake'} completed in ${seconds(info.answers!.roundTrip)}`;
      parts.push(judge(`${how}, session ${info.session.id}`));
    } else if (m.type === 2 && info.answers === null)
      parts.push(this.paint.odd('its initiation is not in the capture'));
    if (!info.repeated) parts.push(judge(info.verdict === 'unknown' ? 'not verified: keys missing' : info.verdict));
    return parts.join('  ');
  }

  #complaint(status: Status): string {
    if (status === Status.seen || status === Status.decrypted) return '';
    const text = `  ${status === Status.unknownSession ? 'its handshake is not in the capture' : status}`;
    return status === Status.failed ? this.paint.bad(text) : this.paint.odd(text);
  }
}

const NAMES = ['', 'initiation', 'response', 'cookie reply', 'data'];

function carrierOf(id: number, kind: 'tcp' | 'udp'): string {
  return `${kind} ${String(id).padEnd(2)}`;
}

/** From the dialler to the right, to the dialler to the left. */
function arrowOf(connection: TcpConnection, side: Side): string {
  return side === connection.dialler ? '→' : '←';
}

function nameOf(party: Party | null): string {
  return party?.name ?? '?';
}

function hex(index: number): string {
  return `0x${index.toString(16).padStart(8, '0')}`;
}

function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

function timestamp(tai64n: Uint8Array): string {
  const ms = tai64nToWallTime(tai64n);
  return Math.abs(ms) < 8.64e15 ? new Date(ms).toISOString() : 'an impossible time';
}
