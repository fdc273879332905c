import type { Side, TcpConnection } from './connection.js';
import type { DecodeSink, Moment } from './events.js';
import { CaptureWriter } from './capturewriter.js';
import { innerLength } from './inner.js';
import { LinkType } from './link.js';
import { Status, type Message } from './message.js';
import { PcapWriter } from './pcapwriter.js';
import { PcapngWriter } from './pcapngwriter.js';
import type { SkipReason } from './recordstream.js';
import type { GapReason } from './reassembly.js';
import { FLAG_FRAGMENT, writeFragmentHeader, writeHeader } from '../stream/header.js';
import { count } from './words.js';

/** What of a sink a writer of captures does not need. */
abstract class Writer implements DecodeSink {
  began(): void {}
  ended(): void {}
  interface(): void {}
  abstract message(message: Message): void;
  connectionOpened(): void {}
  connectionEstablished(): void {}
  connectionClosing(): void {}
  connectionFinished(): void {}
  skipped(
    _connection: TcpConnection,
    _side: Side,
    _position: number,
    _length: number,
    _why: SkipReason,
    _at: Moment,
  ): void {}
  gap(
    _connection: TcpConnection,
    _side: Side,
    _position: number,
    _length: number,
    _why: GapReason,
    _at: Moment,
  ): void {}
  notice(): void {}
}

/**
 * Writes the packets that were inside transport messages, without their padding, as raw IP: pcapng, or the classic format for
 * tools that know only that. What is not an IP packet cannot be written and is counted.
 */
export class InnerWriter extends Writer {
  /** plaintexts that are no IP packets */
  notWritten = 0;
  readonly #pcapng = new PcapngWriter();
  readonly #pcap = new PcapWriter({ linkType: LinkType.raw, nanoseconds: true });

  /**
   * @param write appends to the file
   * @param format of the file
   */
  constructor(
    private readonly write: (bytes: Uint8Array) => void,
    private readonly format: 'pcap' | 'pcapng',
    application: string,
  ) {
    super();
    if (format === 'pcap') {
      write(this.#pcap.header());
      return;
    }
    write(this.#pcapng.section(application));
    write(this.#pcapng.interface({ linkType: LinkType.raw, name: 'inner', description: 'decrypted packets' }));
  }

  message(m: Message): void {
    if (m.innerLength === 0) return;
    const length = innerLength(m.inner, 0, m.innerLength);
    if (length === 0) {
      this.notWritten++;
      return;
    }
    const packet = m.inner.subarray(0, length);
    if (this.format === 'pcap') {
      this.write(this.#pcap.packet(m.seconds, m.nanoseconds, packet));
      return;
    }
    const comment = m.status === Status.replayed ? { comment: `replay of counter ${m.counter}` } : {};
    this.write(this.#pcapng.packet(0, m.seconds, m.nanoseconds, packet, comment));
  }
}

/**
 * Writes each message into a capture as `capture` would have: as the UDP packet that it would have been, and where that is wanted the
 * packet inside and the record around it. What is peculiar to the stream is said in a comment of the next packet.
 */
export class MessageWriter extends Writer {
  readonly #remarks = new Map<TcpConnection, [string[], string[]]>();

  /** @param writer which has begun */
  constructor(private readonly writer: CaptureWriter) {
    super();
  }

  message(m: Message): void {
    const { from, to } = m;
    const { contents } = this.writer;
    const raw = m.raw.subarray(m.rawOffset, m.rawOffset + m.present);
    const comment = this.#takeRemarks(m).join('\n');
    let remarks = comment === '' ? {} : { comment };
    if (contents.outer) {
      const ends = { source: from.address, destination: to.address, sourcePort: from.port, destinationPort: to.port };
      if (this.writer.outer(m, ends, raw, m.length, remarks)) remarks = {};
    }
    if (contents.records && m.connection !== null) {
      this.writer.record(m, recordOf(m, raw), m.recordLength, remarks);
      remarks = {};
    }
    if (!contents.inner || m.innerLength === 0) return;
    const length = innerLength(m.inner, 0, m.innerLength);
    if (length > 0) this.writer.inner(m, m.inner.subarray(0, length), length, remarks);
  }

  override connectionFinished(connection?: TcpConnection): void {
    if (connection !== undefined) this.#remarks.delete(connection);
  }

  override skipped(connection: TcpConnection, side: Side, position: number, length: number, why: SkipReason): void {
    const what = why === 'garbage' ? 'resync' : 'searched';
    this.#remark(connection, side, `${what}: ${count(length, 'byte')} passed over at stream offset ${position}`);
  }

  override gap(connection: TcpConnection, side: Side, position: number, length: number): void {
    this.#remark(
      connection,
      side,
      `gap: ${count(length, 'byte')} missing from the capture at stream offset ${position}`,
    );
  }

  /** A few are enough: a stream that carries no records may have any number of gaps. */
  #remark(connection: TcpConnection, side: Side, text: string): void {
    let both = this.#remarks.get(connection);
    if (both === undefined) {
      both = [[], []];
      this.#remarks.set(connection, both);
    }
    if (both[side].length < 16) both[side].push(text);
  }

  #takeRemarks(m: Message): string[] {
    const remarks = m.connection === null ? [] : (this.#remarks.get(m.connection)?.[m.side].splice(0) ?? []);
    if (m.connection !== null) remarks.unshift(`TCP connection ${m.connection.id}, stream offset ${m.recordOffset}`);
    if (m.fragmentIdentification >= 0) {
      const field = m.fragmentField.toString(16).padStart(4, '0');
      remarks.push(`fragment metadata: identification ${m.fragmentIdentification}, field 0x${field}`);
    }
    return remarks;
  }
}

/** The record as it was on the wire: its header is known from what it says, since only valid ones are found. */
function recordOf(m: Message, raw: Uint8Array): Uint8Array {
  const header = m.recordLength - m.length;
  const out = new Uint8Array(header + raw.length);
  if ((m.recordFlags & FLAG_FRAGMENT) === 0) writeHeader(out, 0, m.length);
  else writeFragmentHeader(out, 0, m.length, m.fragmentIdentification, m.fragmentField);
  out.set(raw, header);
  return out;
}

/** Writes a capture of messages as UDP packets, and nothing else. */
export class UdpWriter extends MessageWriter {
  readonly #capture: CaptureWriter;

  /**
   * @param write appends to the file
   * @param keyLog secrets to embed, asked for by name
   */
  constructor(write: (bytes: Uint8Array) => void, application: string, keyLog: string | null) {
    const contents = { outer: true, inner: false, records: false };
    const capture = new CaptureWriter(write, { contents, application, source: 'decode', snapLength: 0 });
    super(capture);
    this.#capture = capture;
    if (keyLog !== null) capture.secrets(keyLog);
    capture.begin();
  }

  /** messages that no UDP packet can hold */
  get notWritten(): number {
    return this.#capture.notWritten;
  }
}
