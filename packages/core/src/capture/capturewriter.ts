import { LinkType } from './link.js';
import { PcapngWriter, type PcapngPacketOptions } from './pcapngwriter.js';
import { representAsUdp, type Datagram } from './represent.js';

/**
 * Writes what `capture` writes: a pcapng with up to three interfaces.
 *
 * - `outer`: each message as the UDP packet that it would have been, which is what tools that know WireGuard only over UDP can read;
 * - `inner`: the packets inside, as raw IP;
 * - `records`: each record of a TCP stream with its header, as USER0, for wireshark/wirestream.lua.
 *
 * Secrets are written when `secrets` is called, and never else.
 */
export const Interface = { outer: 0, inner: 1, records: 2 } as const;

/** Names by which a reader of captures knows the interfaces again. */
export const INTERFACE_NAMES = ['outer', 'inner', 'records'] as const;

export interface CaptureContents {
  readonly outer: boolean;
  readonly inner: boolean;
  readonly records: boolean;
}

export interface CaptureWriterOptions {
  readonly contents: CaptureContents;
  /** name and version of the program */
  readonly application: string;
  /** what was captured, for the interfaces' descriptions */
  readonly source: string;
  /** bytes; longer packets are cut. 0: none is */
  readonly snapLength: number;
}

/** When: whole seconds since the Unix epoch, and nanoseconds. */
export interface Stamp {
  readonly seconds: number;
  readonly nanoseconds: number;
}

export type PacketRemarks = Pick<PcapngPacketOptions, 'comment' | 'direction'>;

/** Key logs that are written again at the beginning of each further file: those of the latest handshakes. */
const KEY_LOGS_MAX = 256;

export class CaptureWriter {
  /** packets written, on all interfaces and on each */
  packets = 0;
  readonly counts: [number, number, number] = [0, 0, 0];
  /** messages that no UDP packet can hold */
  notWritten = 0;
  readonly #pcapng = new PcapngWriter();
  readonly #keyLogs: string[] = [];
  #begun = false;

  /** @param write appends to the file */
  constructor(
    private readonly write: (bytes: Uint8Array) => void,
    private readonly options: CaptureWriterOptions,
  ) {}

  get contents(): CaptureContents {
    return this.options.contents;
  }

  /** Begins a file: also each further one, when files are limited in size. */
  begin(): void {
    const { application, source, snapLength, contents } = this.options;
    this.#begun = true;
    this.write(this.#pcapng.section(application));
    for (const keyLog of this.#keyLogs) this.write(this.#pcapng.secrets(keyLog));
    const describe = (name: string, description: string, linkType: number) =>
      this.write(this.#pcapng.interface({ linkType, name, description: `${source}: ${description}`, snapLength }));
    describe(INTERFACE_NAMES[0], 'messages of TCP records and UDP datagrams, as UDP packets', LinkType.raw);
    // Numbers stay the same: what comes before an interface that is wanted is described too.
    if (contents.inner || contents.records) describe(INTERFACE_NAMES[1], 'packets inside the tunnel', LinkType.raw);
    if (contents.records) describe(INTERFACE_NAMES[2], 'records of TCP streams with their headers', LinkType.user0);
  }

  /** Lines of a Wireshark key log; asked for by name. They open the packets that follow. */
  secrets(keyLog: string): void {
    this.#keyLogs.push(keyLog);
    if (this.#keyLogs.length > KEY_LOGS_MAX) this.#keyLogs.shift();
    if (this.#begun) this.write(this.#pcapng.secrets(keyLog));
  }

  /**
   * A message, as far as it is there, of `length` bytes.
   * @returns false when it is too long for a UDP packet
   */
  outer(at: Stamp, ends: Datagram, message: Uint8Array, length: number, remarks: PacketRemarks): boolean {
    const packet = representAsUdp(ends, message, length);
    if (packet === null) {
      this.notWritten++;
      return false;
    }
    this.#packet(Interface.outer, at, packet, packet.length + length - message.length, remarks);
    return true;
  }

  /** A packet inside, of `length` bytes. */
  inner(at: Stamp, packet: Uint8Array, length: number, remarks: PacketRemarks): void {
    this.#packet(Interface.inner, at, packet, length, remarks);
  }

  /** A record with its header, of `length` bytes. */
  record(at: Stamp, record: Uint8Array, length: number, remarks: PacketRemarks): void {
    this.#packet(Interface.records, at, record, length, remarks);
  }

  /** Ends the capture with counts. @param dropped what is missing for want of speed */
  finish(at: Stamp, dropped: number, comment?: string): void {
    const { outer, inner, records } = this.options.contents;
    const wanted = [outer, inner, records];
    let remark = comment;
    for (const id of [0, 1, 2] as const) {
      if (!wanted[id]) continue;
      const counts = { received: this.counts[id] + dropped, dropped };
      const said = remark === undefined ? counts : { ...counts, comment: remark };
      this.write(this.#pcapng.statistics(id, at.seconds, at.nanoseconds, said));
      remark = undefined;
    }
  }

  #packet(id: 0 | 1 | 2, at: Stamp, data: Uint8Array, originalLength: number, remarks: PacketRemarks): void {
    this.packets++;
    this.counts[id]++;
    this.write(this.#pcapng.packet(id, at.seconds, at.nanoseconds, data, { ...remarks, originalLength }));
  }
}
