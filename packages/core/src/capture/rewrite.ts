import type { Side, TcpConnection } from './connection.js';
import type { DecodeSink, Moment } from './events.js';
import { innerLength } from './inner.js';
import { LinkType } from './link.js';
import { Status, type Message } from './message.js';
import { PcapWriter } from './pcapwriter.js';
import { PcapngWriter } from './pcapngwriter.js';
import type { SkipReason } from './recordstream.js';
import type { GapReason } from './reassembly.js';
import { representAsUdp } from './represent.js';
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
 * Writes each message as the UDP packet that it would have been: what tools that know WireGuard only over UDP can read. What is peculiar
 * to the stream is said in a comment of the next packet.
 */
export class UdpWriter extends Writer {
  /** messages that no UDP packet can hold */
  notWritten = 0;
  readonly #pcapng = new PcapngWriter();
  readonly #remarks = new Map<TcpConnection, [string[], string[]]>();

  /**
   * @param write appends to the file
   * @param keyLog secrets to embed, asked for by name
   */
  constructor(
    private readonly write: (bytes: Uint8Array) => void,
    application: string,
    keyLog: string | null,
  ) {
    super();
    write(this.#pcapng.section(application));
    if (keyLog !== null) write(this.#pcapng.secrets(keyLog));
    const description = 'messages of TCP records and UDP datagrams, as UDP packets';
    write(this.#pcapng.interface({ linkType: LinkType.raw, name: 'outer', description }));
  }

  message(m: Message): void {
    const { from, to } = m;
    const ends = { source: from.address, destination: to.address, sourcePort: from.port, destinationPort: to.port };
    const packet = representAsUdp(ends, m.raw.subarray(m.rawOffset, m.rawOffset + m.present), m.length);
    if (packet === null) {
      this.notWritten++;
      return;
    }
    const remarks = this.#takeRemarks(m);
    this.write(
      this.#pcapng.packet(0, m.seconds, m.nanoseconds, packet, {
        originalLength: packet.length + m.length - m.present,
        ...(remarks.length === 0 ? {} : { comment: remarks.join('\n') }),
      }),
    );
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
