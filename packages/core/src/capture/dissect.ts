/**
 * From the packets of a capture to WireGuard messages.
 *
 * Theory of operation. Each packet goes down the same way:
 *
 *     link layer ─▶ IP (fragments put together) ─┬▶ TCP ─▶ streams put together ─▶ records ─┬▶ message ─▶ sink
 *                                                └▶ UDP ──────────────────────▶ datagrams ─┘
 *
 * Messages are sorted to sessions by their indices, whatever carried them. Handshakes are verified with the keys that are known,
 * which gives transport keys, and transport messages are opened with these where they lie in one scratch slab. A transport message
 * whose handshake has not been seen yet (captures reorder, and a response may wait behind a hole in its stream) is held
 * for a moment. Everything is bounded: connections, holes, fragments, incomplete records, sessions, held messages.
 *
 * Nothing here reads a clock: time is that of the capture.
 */
import type { WirestreamError } from '../device/errors.js';
import { isWirestreamError } from '../device/errors.js';
import type { Crypto } from '../noise/crypto.js';
import { Slab } from '../slab/slab.js';
import { Interface, INTERFACE_NAMES } from './capturewriter.js';
import type { Closing, ConnectionSink, Side, TcpConnection } from './connection.js';
import { ConnectionTable } from './connections.js';
import type { DecodeSink, Moment, Notice } from './events.js';
import { FragmentStore } from './fragments.js';
import { segmentSize } from './gso.js';
import { IpView, Protocol } from './ipview.js';
import type { KeyRing } from './keyring.js';
import { parseKeyLog } from './keys.js';
import { UNKNOWN_LINK, findIp } from './link.js';
import type { Message } from './message.js';
import { MessageOpener, isMessageStart } from './opener.js';
import type { CaptureHandler, CaptureInterface, CapturedPacket } from './packet.js';
import { SECRETS_WIREGUARD } from './pcapng.js';
import type { GapReason } from './reassembly.js';
import { RecordStream, type PartialBudget, type RecordSink, type SkipReason } from './recordstream.js';
import { UdpFlowTable } from './udpflows.js';

export interface DissectorOptions {
  readonly crypto: Crypto;
  readonly ring: KeyRing;
  readonly sink: DecodeSink;
  /** makes the two slabs that messages are opened in; a native provider wants native ones (default: plain) */
  readonly makeSlab?: (size: number) => Slab;
  /** ports that are known to be listened on */
  readonly listenPorts?: Iterable<number>;
}

export class Dissector implements CaptureHandler, ConnectionSink, RecordSink {
  /** packets taken */
  packets = 0;
  readonly #ring: KeyRing;
  readonly #sink: DecodeSink;
  readonly #opener: MessageOpener;
  readonly #connections: ConnectionTable;
  readonly #flows = new UdpFlowTable();
  readonly #fragments = new FragmentStore();
  readonly #view = new IpView();
  readonly #moment: Moment = { frame: 0, seconds: 0, nanoseconds: 0 };
  readonly #partial: PartialBudget = { used: 0 };
  readonly #unknownLinks = new Set<number>();
  /** interfaces of a capture of ours whose packets are on another one already, in another form */
  readonly #repeated = new Set<number>();
  #hasOuter = false;
  readonly #records = new Map<TcpConnection, [RecordStream | null, RecordStream | null]>();
  readonly #owners = new Map<RecordStream, Owner>();
  #ending = false;

  constructor(options: DissectorOptions) {
    const { crypto, ring, sink, makeSlab = Slab.plain } = options;
    this.#ring = ring;
    this.#sink = sink;
    this.#opener = new MessageOpener(crypto, ring, sink, this.#moment, makeSlab);
    this.#connections = new ConnectionTable(this, options.listenPorts);
  }

  // — CaptureHandler —

  interface(description: CaptureInterface): void {
    const name = INTERFACE_NAMES.indexOf(description.name as (typeof INTERFACE_NAMES)[number]);
    if (name === Interface.outer) this.#hasOuter = true;
    else if (name > Interface.outer && this.#hasOuter) this.#repeated.add(description.id);
    this.#sink.interface(description);
  }

  /** A key log inside the capture. */
  secrets(type: number, bytes: Uint8Array): void {
    if (type !== SECRETS_WIREGUARD) return;
    try {
      this.#ring.add(parseKeyLog(new TextDecoder().decode(bytes), "the capture's secrets block"));
    } catch (error) {
      if (!isWirestreamError(error)) throw error;
      this.#notice({ code: 'secrets-unreadable', message: error.message, isError: false });
    }
  }

  damage(error: WirestreamError): void {
    const code = error.code === 'capture-truncated' ? 'capture-truncated' : 'capture-damaged';
    const hint = error.hint === undefined ? {} : { hint: error.hint };
    this.#notice({ code, message: error.message, isError: true, ...hint });
  }

  packet(packet: CapturedPacket): void {
    this.packets++;
    const at = this.#moment;
    at.frame = packet.number;
    at.seconds = packet.seconds;
    at.nanoseconds = packet.nanoseconds;
    if (this.packets === 1) this.#sink.began(at);
    if (this.#repeated.has(packet.interfaceId)) return;
    const now = packet.seconds + packet.nanoseconds / 1e9;
    if (this.#opener.isDue(now)) this.#opener.releaseOld(now);
    const { bytes } = packet;
    const end = packet.offset + packet.capturedLength;
    const ip = findIp(packet.linkType, bytes, packet.offset, end);
    if (ip < 0) {
      if (ip === UNKNOWN_LINK) this.#unknownLink(packet.linkType);
      return;
    }
    const view = this.#view;
    if (!view.parse(bytes, ip, end, packet.offset + packet.originalLength)) return;
    if (view.isFragment) {
      const whole = this.#fragments.add(view, bytes, now);
      if (whole !== null) this.#reassembled(whole, bytes, now);
    } else this.#transport(bytes, now);
  }

  /** Nothing comes at the moment, and it is that late, s since the Unix epoch: hands on what has waited long enough for more. */
  idle(now: number): void {
    if (this.#opener.isDue(now)) this.#opener.releaseOld(now);
    this.#connections.idle(now);
  }

  /** Says that the capture has ended: whatever is incomplete is reported and all keys are forgotten. */
  end(): void {
    this.#ending = true;
    this.#opener.stopHolding();
    this.#sink.ended(this.#moment, this.packets);
    this.#fragments.end();
    if (this.#fragments.lost > 0) {
      const n = this.#fragments.lost;
      this.#notice({
        code: 'fragments-lost',
        message: `${n} fragmented IP packet${n === 1 ? '' : 's'} could not be put together`,
        isError: false,
      });
    }
    this.#connections.end();
    this.#opener.end();
  }

  // — ConnectionSink —

  opened(connection: TcpConnection): void {
    this.#records.set(connection, [null, null]);
    this.#sink.connectionOpened(connection, this.#moment);
  }

  established(connection: TcpConnection): void {
    this.#sink.connectionEstablished(connection, this.#moment);
  }

  data(
    connection: TcpConnection,
    side: Side,
    position: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    this.#stream(connection, side).data(position, bytes, offset, length);
  }

  gap(connection: TcpConnection, side: Side, position: number, length: number, why: GapReason): void {
    const stream = this.#stream(connection, side);
    // What was lost before anything was found cannot be told from what is no WireGuard at all.
    this.#sink.gap(connection, side, position, length, why, this.#moment);
    stream.gap(position, length, why);
  }

  closing(connection: TcpConnection, closing: Closing): void {
    this.#sink.connectionClosing(connection, closing, this.#moment);
  }

  finished(connection: TcpConnection): void {
    const streams = this.#records.get(connection)!;
    this.#records.delete(connection);
    for (const side of [0, 1] as const) {
      const stream = streams[side];
      if (stream === null) continue;
      if (this.#ending && !connection.isClosed && stream.records > 0 && stream.partial > 0)
        this.#recordCut(connection, side, stream);
      stream.finish();
    }
    this.#opener.releaseOf(connection);
    this.#sink.connectionFinished(connection, this.#moment);
    for (const stream of streams) if (stream !== null) this.#owners.delete(stream);
  }

  // — RecordSink —

  judge(_stream: RecordStream, message: number, length: number): boolean {
    return this.#opener.judge(message, length);
  }

  record(stream: RecordStream, position: number, header: number, message: number, length: number, flags: number): void {
    const m = this.#begin(stream, position, header, message, length, flags);
    m.present = length;
    this.#opener.take(message);
  }

  cut(
    stream: RecordStream,
    position: number,
    header: number,
    message: number,
    present: number,
    length: number,
    flags: number,
  ): void {
    const m = this.#begin(stream, position, header, message, length, flags);
    m.present = present;
    this.#opener.takeCut(message);
  }

  skipped(stream: RecordStream, position: number, length: number, why: SkipReason): void {
    const owner = this.#owners.get(stream)!;
    this.#sink.skipped(owner.connection, owner.side, position, length, why, this.#moment);
  }

  // — packets —

  #transport(bytes: Uint8Array, now: number): void {
    const view = this.#view;
    if (view.protocol === Protocol.tcp) {
      if (view.parseTcp(bytes)) this.#connections.segment(view, bytes, now);
    } else if (view.protocol === Protocol.udp && view.parseUdp(bytes)) this.#datagram(bytes);
  }

  /** A datagram that came in fragments: its payload is elsewhere than its addresses. */
  #reassembled(payload: Uint8Array, bytes: Uint8Array, now: number): void {
    const view = this.#view;
    const length = view.addressLength;
    const whole = new Uint8Array(2 * length + payload.length);
    whole.set(bytes.subarray(view.sourceAddress, view.sourceAddress + length), 0);
    whole.set(bytes.subarray(view.destinationAddress, view.destinationAddress + length), length);
    whole.set(payload, 2 * length);
    view.sourceAddress = 0;
    view.destinationAddress = length;
    view.payloadOffset = 2 * length;
    view.payloadLength = view.captured = payload.length;
    this.#transport(whole, now);
  }

  #datagram(bytes: Uint8Array): void {
    const view = this.#view;
    const { payloadLength: length, captured } = view;
    if (captured < 4 || !isMessageStart(bytes, view.payloadOffset, length)) return;
    const scratch = this.#opener.scratch.bytes;
    scratch.set(bytes.subarray(view.payloadOffset, view.payloadOffset + captured), 0);
    const flow = this.#flows.find(view, bytes);
    const { side } = this.#flows;
    const size = captured < length ? 0 : segmentSize(scratch, 0, length);
    for (let at = 0; at < length; at += size === 0 ? length : size) {
      const n = size === 0 ? length : Math.min(size, length - at);
      const m = this.#opener.begin();
      m.flow = flow;
      m.side = side;
      m.length = n;
      m.rawOffset = at;
      m.present = Math.min(n, captured - at);
      if (m.present < n) this.#opener.takeCut(at);
      else {
        this.#opener.judge(at, n);
        this.#opener.take(at);
      }
    }
  }

  // — messages —

  #begin(
    stream: RecordStream,
    position: number,
    header: number,
    message: number,
    length: number,
    flags: number,
  ): Message {
    const m = this.#opener.begin();
    const owner = this.#owners.get(stream)!;
    m.connection = owner.connection;
    m.side = owner.side;
    m.recordOffset = position;
    m.recordLength = message - header + length;
    m.recordFlags = flags;
    if (message - header > 8) {
      const b = this.#opener.scratch.bytes;
      m.fragmentIdentification = (b[header + 8]! << 8) | b[header + 9]!;
      m.fragmentField = (b[header + 10]! << 8) | b[header + 11]!;
    }
    m.length = length;
    m.rawOffset = message;
    return m;
  }

  #stream(connection: TcpConnection, side: Side): RecordStream {
    const streams = this.#records.get(connection)!;
    let stream = streams[side];
    if (stream === null) {
      stream = new RecordStream(this, this.#opener.scratch, this.#partial, connection.initial[side] < 0);
      streams[side] = stream;
      this.#owners.set(stream, { connection, side });
    }
    return stream;
  }

  #recordCut(connection: TcpConnection, side: Side, stream: RecordStream): void {
    const from = connection.ends[side].text;
    const to = connection.ends[side === 0 ? 1 : 0].text;
    const length = stream.partialLength;
    const how =
      length === 0 ? `${stream.partial} of the 8 bytes of its header` : `${stream.partial} of its ${length} bytes`;
    this.#notice({
      code: 'record-cut',
      message: `the capture ends at packet ${this.#moment.frame} in the middle of a record from ${from} to ${to}: ${how} are there`,
      hint: 'everything before it was decoded',
      isError: true,
    });
  }

  #unknownLink(linkType: number): void {
    if (this.#unknownLinks.has(linkType) || this.#unknownLinks.size >= 64) return;
    this.#unknownLinks.add(linkType);
    this.#notice({
      code: 'link-unknown',
      message: `packet ${this.#moment.frame} has link type ${linkType}, which is not understood; such packets are passed over`,
      hint: 'Ethernet, Linux cooked, raw IP and loopback captures can be decoded',
      isError: false,
    });
  }

  #notice(notice: Notice): void {
    this.#sink.notice(notice, this.#moment);
  }
}

interface Owner {
  readonly connection: TcpConnection;
  readonly side: Side;
}
