/**
 * `decode --json`: one JSON object per line. Names are stable: new ones may be added, none changes its meaning.
 *
 * Every line has `type`. Those that tell of something in the capture have `frame` (packet number, from 1), `time` (seconds since the Unix epoch with nine
 * decimals, a string because a number would lose some) and `t` (seconds since the first packet). TCP connections and UDP flows are
 * numbered from 0 in order of appearance. Bytes are given in base64 (keys) or hexadecimal (indices, as Wireshark shows them).
 *
 *     interface   id, linkType, name
 *     connection  event: opened | established | closing | finished; connection, from (who dialled), to, sawSyn; closing: by, how, after;
 *                 finished: established, closing[], diallerToAcceptor, acceptorToDialler (records, types, keepalives, messageBytes, bytes,
 *                 resyncs, skippedBytes, gaps, missingBytes, cut, repeatedSegments)
 *     message     carrier (tcp | udp), connection or flow, from, to, record (offset, length, flags, fragment) over TCP,
 *                 length, status, wg, inner, segmentSize (of an offload record)
 *     handshake   connection or flow, initiation (frame), response (frame), roundTrip (s), initiator, responder, verified, rekey, wg.stream
 *     resync      connection, from, to, offset, skippedBytes: bytes that belong to no record, before one that does
 *     skip        the same where the stream was joined in the middle or bytes are missing before them
 *     gap         connection, from, to, offset, missingBytes, why (lost: no segment has them; cut: the capture cut the segment)
 *     notice      code, message, hint, error (whether the capture is at fault)
 *     peers       peers[2], handshakes, rekeys, roundTrip (min, max), sent[2] (by either peer: data, keepalives, decrypted, …)
 *     summary     always the last line
 *
 * `wg` holds what Wireshark calls wg.*: type, sender, receiver, counter, stream, keepalive, handshake_ok, response_to, ephemeral, static,
 * receiver_pubkey, timestamp, and mac1, mac2 as verdicts. `status` is one of seen, decrypted, replayed, unknown session, keys missing,
 * authentication failed, bytes missing, not a message.
 */
import { formatKey } from '../config/key.js';
import { tai64nToWallTime } from '../noise/tai64n.js';
import type { Closing, Side, TcpConnection } from './connection.js';
import type { DecodeSink, Moment, Notice } from './events.js';
import type { HandshakeInfo } from './handshakes.js';
import { describeInner } from './inner.js';
import type { Party } from './keyring.js';
import { Status, type Message } from './message.js';
import type { CaptureInterface } from './packet.js';
import type { GapReason } from './reassembly.js';
import type { SkipReason } from './recordstream.js';
import type { ConnectionTally, PairTally, PeerDirectionTally, Tally } from './tally.js';

type Json = Record<string, unknown>;

/** Turns what a dissector finds into JSON Lines. */
export class JsonLines implements DecodeSink {
  #firstSeconds = 0;
  #firstNanoseconds = 0;

  /**
   * @param write takes one line, without its end
   * @param tally counts the same events, and comes after this one
   * @param brief only what sums something up: finished connections that carried records, notices, peers and the summary
   */
  constructor(
    private readonly write: (line: string) => void,
    private readonly tally: Tally,
    private readonly brief = false,
  ) {}

  began(at: Moment): void {
    this.#firstSeconds = at.seconds;
    this.#firstNanoseconds = at.nanoseconds;
  }

  ended(): void {}

  interface(description: CaptureInterface): void {
    if (this.brief) return;
    this.#line({ type: 'interface', ...description });
  }

  message(m: Message): void {
    if (this.brief) return;
    const opened = m.status === Status.decrypted || m.status === Status.replayed;
    this.#line({
      type: 'message',
      ...this.#when(m),
      ...carrier(m),
      from: m.from.text,
      to: m.to.text,
      ...(m.connection === null ? {} : { record: record(m) }),
      length: m.length,
      ...(m.status === Status.cut ? { present: m.present } : {}),
      status: m.status,
      wg: wireshark(m),
      ...(opened && m.innerLength > 0 ? { inner: describeInner(m.inner, 0, m.innerLength) } : {}),
      ...(m.segmentSize === 0 ? {} : { segmentSize: m.segmentSize }),
    });
    const info = m.handshake;
    if (info !== null && info.session !== null) this.#handshake(m, info);
  }

  connectionOpened(connection: TcpConnection, at: Moment): void {
    if (this.brief) return;
    this.#connection('opened', connection, at, { sawSyn: connection.sawSyn });
  }

  connectionEstablished(connection: TcpConnection, at: Moment): void {
    if (this.brief) return;
    this.#connection('established', connection, at, {});
  }

  connectionClosing(connection: TcpConnection, closing: Closing, at: Moment): void {
    if (this.brief) return;
    this.#connection('closing', connection, at, closingOf(connection, closing));
  }

  connectionFinished(connection: TcpConnection, at: Moment): void {
    const tally = this.tally.of(connection);
    if (this.brief && tally.records === 0) return;
    this.#connection('finished', connection, at, connectionTotals(tally));
  }

  skipped(connection: TcpConnection, side: Side, position: number, length: number, why: SkipReason, at: Moment): void {
    if (this.brief) return;
    const type = why === 'garbage' ? 'resync' : 'skip';
    this.#line({ type, ...this.#when(at), ...place(connection, side, position), skippedBytes: length });
  }

  gap(connection: TcpConnection, side: Side, position: number, length: number, why: GapReason, at: Moment): void {
    if (this.brief) return;
    this.#line({ type: 'gap', ...this.#when(at), ...place(connection, side, position), missingBytes: length, why });
  }

  notice(notice: Notice, at: Moment): void {
    const { code, message, hint, isError } = notice;
    this.#line({
      type: 'notice',
      frame: at.frame,
      code,
      message,
      ...(hint === undefined ? {} : { hint }),
      error: isError,
    });
  }

  /** The last lines: one for each pair of peers, then the summary. */
  close(): void {
    for (const pair of this.tally.pairs.values()) this.#line(pairLine(pair));
    this.#line(summaryLine(this.tally));
  }

  #line(json: Json): void {
    this.write(JSON.stringify(json));
  }

  #when(at: Moment): Json {
    const t = at.seconds - this.#firstSeconds + (at.nanoseconds - this.#firstNanoseconds) / 1e9;
    return {
      frame: at.frame,
      time: `${at.seconds}.${String(at.nanoseconds).padStart(9, '0')}`,
      t: Math.round(t * 1e9) / 1e9,
    };
  }

  #connection(event: string, connection: TcpConnection, at: Moment, more: Json): void {
    const { id, ends, dialler, acceptor } = connection;
    const where = { connection: id, from: ends[dialler].text, to: ends[acceptor].text };
    this.#line({ type: 'connection', event, ...this.#when(at), ...where, ...more });
  }

  #handshake(m: Message, info: HandshakeInfo): void {
    this.#line({
      type: 'handshake',
      ...this.#when(m),
      ...carrier(m),
      initiation: info.answers!.frame,
      response: m.frame,
      roundTrip: rounded(info.answers!.roundTrip),
      initiator: party(info.receiver),
      responder: party(info.sender),
      verified: info.verdict === 'verified',
      rekey: info.rekey,
      wg: { stream: info.session!.id },
    });
  }
}

/** The summary's names are part of the interface; `data` counts all transport messages, keepalives included. */
export function summaryLine(tally: Tally): Json {
  const { types } = tally;
  return {
    type: 'summary',
    connections: tally.connectionCount,
    records: tally.records,
    messages: {
      initiation: types[1],
      response: types[2],
      cookie: types[3],
      data: types[4],
      keepalive: tally.keepalives,
    },
    resyncs: tally.resyncs,
    skippedBytes: tally.skippedBytes,
    handshakesCompleted: tally.handshakesCompleted,
    decrypted: tally.decrypted,
    undecrypted: tally.undecrypted,
    innerPackets: tally.innerPackets,
    packets: tally.packets,
    seconds: micros(tally.seconds),
    otherConnections: tally.otherConnections,
    udpFlows: tally.udpFlows,
    invalidRecords: types[0],
    undecryptedBecause: Object.fromEntries(tally.undecryptedBy),
    replays: tally.replays,
    duplicates: tally.duplicates,
    authenticationFailures: tally.failed,
    cutMessages: tally.cut,
    gaps: tally.gaps,
    missingBytes: tally.missingBytes,
    innerBytes: tally.innerBytes,
    errors: tally.errors,
  };
}

function carrier(m: Message): Json {
  if (m.connection !== null) return { carrier: 'tcp', connection: m.connection.id };
  return { carrier: 'udp', flow: m.flow!.id };
}

function record(m: Message): Json {
  const out: Json = { offset: m.recordOffset, length: m.recordLength, flags: m.recordFlags };
  if (m.fragmentIdentification >= 0) {
    out['fragment'] = { identification: m.fragmentIdentification, field: m.fragmentField };
  }
  return out;
}

function place(connection: TcpConnection, side: Side, offset: number): Json {
  const from = connection.ends[side].text;
  return { connection: connection.id, from, to: connection.ends[side === 0 ? 1 : 0].text, offset };
}

function wireshark(m: Message): Json {
  const out: Json = { type: m.type };
  if (m.sender >= 0) out['sender'] = hex(m.sender);
  if (m.receiver >= 0) out['receiver'] = hex(m.receiver);
  if (m.type === 4) {
    out['counter'] = m.counterHi < 0x200000 ? m.counter : String((BigInt(m.counterHi) << 32n) | BigInt(m.counterLo));
    out['keepalive'] = m.isKeepalive;
    if (m.direction !== null) out['stream'] = m.direction.session.id;
  }
  const info = m.handshake;
  if (info === null) return out;
  if (info.verdict !== 'unknown' && m.type !== 3) out['handshake_ok'] = info.verdict === 'verified';
  if (info.verdict !== 'unknown' && m.type === 3) out['cookie_ok'] = info.verdict === 'verified';
  if (info.ephemeral !== null) out['ephemeral'] = formatKey(info.ephemeral);
  if (m.type !== 3) {
    out['mac1'] = info.mac1;
    out['mac2'] = info.mac2Set;
  }
  if (m.type === 1 && info.sender !== null) out['static'] = info.sender.id;
  // As MAC1 says it, which is made with the receiver's key.
  if (m.type !== 3 && info.mac1 === 'verified' && info.receiver !== null) out['receiver_pubkey'] = info.receiver.id;
  if (info.tai64n !== null) {
    out['timestamp'] = { value: timestamp(info.tai64n), tai64n: hexBytes(info.tai64n) };
  }
  if (info.answers !== null) out['response_to'] = info.answers.frame;
  if (info.repeated) out['repeated'] = true;
  if (info.stream >= 0) out['stream'] = info.stream;
  return out;
}

function closingOf(connection: TcpConnection, closing: Closing): Json {
  const by = closing.side === connection.dialler ? 'dialler' : 'acceptor';
  return { by, how: closing.how, after: micros(closing.after) };
}

function connectionTotals(tally: ConnectionTally): Json {
  const { connection } = tally;
  const direction = (side: Side): Json => {
    const { types, resyncAt: _places, ...counts } = tally.directions[side];
    const stream = connection.streams[side];
    return {
      ...counts,
      types: Object.fromEntries(types.map((n, type) => [type, n]).filter(([, n]) => n !== 0)),
      bytes: stream.delivered,
      repeatedSegments: stream.repeated,
    };
  };
  return {
    sawSyn: connection.sawSyn,
    established: connection.established,
    closing: connection.closings.map((closing) => closingOf(connection, closing)),
    diallerToAcceptor: direction(connection.dialler),
    acceptorToDialler: direction(connection.acceptor),
  };
}

function pairLine(pair: PairTally): Json {
  const trips = pair.handshakes.map(({ roundTrip }) => roundTrip);
  return {
    type: 'peers',
    peers: pair.peers.map(party),
    handshakes: pair.handshakeCount,
    rekeys: pair.handshakes.filter(({ rekey }) => rekey).length,
    ...(trips.length === 0
      ? {}
      : { roundTrip: { min: rounded(Math.min(...trips)), max: rounded(Math.max(...trips)) } }),
    sent: pair.directions.map(sent),
  };
}

function sent(direction: PeerDirectionTally): Json {
  const { throughput, ...counts } = direction;
  return {
    ...counts,
    throughput: { secondsPerColumn: throughput.width, bytes: [...throughput.columns.subarray(0, throughput.used)] },
  };
}

function party(known: Party | null): Json | null {
  return known === null ? null : { publicKey: known.id, name: known.name };
}

function hex(index: number): string {
  return `0x${index.toString(16).padStart(8, '0')}`;
}

function hexBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** ISO 8601, or what stands in the message where that is no date. */
function timestamp(tai64n: Uint8Array): string {
  const ms = tai64nToWallTime(tai64n);
  return Math.abs(ms) < 8.64e15 ? new Date(ms).toISOString() : hexBytes(tai64n);
}

/** To microseconds: differences of two times since 1970 are not exact beyond that. */
function micros(seconds: number): number {
  return Math.round(seconds * 1e6) / 1e6;
}

/** To nanoseconds: more digits are noise of the arithmetic. */
function rounded(seconds: number): number {
  return Math.round(seconds * 1e9) / 1e9;
}
