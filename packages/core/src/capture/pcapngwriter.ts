import { BYTE_ORDER_MAGIC, Block, Option, SECRETS_WIREGUARD } from './pcapng.js';
import { PACKET_MAX } from './packet.js';

/** Options that only the writer sets (draft-ietf-opsawg-pcapng §4.1, §4.2, §4.3). */
const SECTION_APPLICATION = 4;
const INTERFACE_DESCRIPTION = 3;
const PACKET_FLAGS = 2;
const STATISTICS_RECEIVED = 4;
const STATISTICS_DROPPED = 5;
const NANOSECONDS = 9;

export interface PcapngInterface {
  /** LINKTYPE_* number */
  readonly linkType: number;
  readonly name?: string;
  readonly description?: string;
  /** bytes; longer packets are cut. Default: none is */
  readonly snapLength?: number;
}

export interface PcapngPacketOptions {
  /** bytes that the packet had on the wire, if more than are given */
  readonly originalLength?: number;
  readonly comment?: string;
  /** as seen from the interface */
  readonly direction?: 'inbound' | 'outbound';
}

export interface PcapngStatistics {
  /** packets that came, and of these those that are missing in the file for want of speed */
  readonly received: number;
  readonly dropped: number;
  readonly comment?: string;
}

/**
 * Writes pcapng, nanosecond stamps. Each call returns the bytes of one block to append to the file: a section first,
 * then interfaces, and after an interface its packets. Secrets have to come before the packets that they open.
 */
export class PcapngWriter {
  #interfaces: number[] = [];

  /** @param bigEndian only tests want it */
  constructor(private readonly bigEndian = false) {}

  /** @param application the program's name and version */
  section(application?: string, comment?: string): Uint8Array {
    this.#interfaces = [];
    const options = this.#options([
      [Option.comment, comment],
      [SECTION_APPLICATION, application],
    ]);
    const body = new Uint8Array(16 + options.length);
    const view = new DataView(body.buffer);
    view.setUint32(0, BYTE_ORDER_MAGIC, !this.bigEndian);
    view.setUint16(4, 1, !this.bigEndian);
    // Section length unknown: minus one (draft §4.1).
    body.fill(0xff, 8, 16);
    body.set(options, 16);
    return this.#block(Block.section, body);
  }

  /** The interface's number in this section is how many there were before. */
  interface(description: PcapngInterface): Uint8Array {
    const snap = description.snapLength ?? 0;
    this.#interfaces.push(snap === 0 ? PACKET_MAX : snap);
    const options = this.#options([
      [Option.interfaceName, description.name],
      [INTERFACE_DESCRIPTION, description.description],
      [Option.timestampResolution, Uint8Array.of(NANOSECONDS)],
    ]);
    const body = new Uint8Array(8 + options.length);
    const view = new DataView(body.buffer);
    view.setUint16(0, description.linkType, !this.bigEndian);
    view.setUint32(4, snap, !this.bigEndian);
    body.set(options, 8);
    return this.#block(Block.interface, body);
  }

  /** A Decryption Secrets Block with a Wireshark WireGuard key log. */
  secrets(keyLog: string): Uint8Array {
    const text = encoder.encode(keyLog);
    const body = new Uint8Array(8 + padded(text.length));
    const view = new DataView(body.buffer);
    view.setUint32(0, SECRETS_WIREGUARD, !this.bigEndian);
    view.setUint32(4, text.length, !this.bigEndian);
    body.set(text, 8);
    return this.#block(Block.decryptionSecrets, body);
  }

  /**
   * An Interface Statistics Block, which ends a capture.
   * @param id of an interface of this section
   * @param seconds of its stamp
   */
  statistics(id: number, seconds: number, nanoseconds: number, counts: PcapngStatistics): Uint8Array {
    const options = this.#options([
      [Option.comment, counts.comment],
      [STATISTICS_RECEIVED, this.#u64(counts.received)],
      [STATISTICS_DROPPED, this.#u64(counts.dropped)],
    ]);
    const body = new Uint8Array(12 + options.length);
    const view = new DataView(body.buffer);
    view.setUint32(0, id, !this.bigEndian);
    this.#stamp(view, 4, seconds, nanoseconds);
    body.set(options, 12);
    return this.#block(Block.interfaceStatistics, body);
  }

  /**
   * @param id of an interface of this section
   * @param seconds whole seconds since the Unix epoch
   * @param nanoseconds and the rest
   */
  packet(
    id: number,
    seconds: number,
    nanoseconds: number,
    data: Uint8Array,
    more: PcapngPacketOptions = {},
  ): Uint8Array {
    const snap = this.#interfaces[id];
    if (snap === undefined) throw new RangeError(`no interface ${id} in this section`);
    const length = Math.min(data.length, snap);
    const options = this.#options([
      [Option.comment, more.comment],
      [PACKET_FLAGS, more.direction === undefined ? undefined : this.#u32(more.direction === 'inbound' ? 1 : 2)],
    ]);
    const body = new Uint8Array(20 + padded(length) + options.length);
    const view = new DataView(body.buffer);
    view.setUint32(0, id, !this.bigEndian);
    this.#stamp(view, 4, seconds, nanoseconds);
    view.setUint32(12, length, !this.bigEndian);
    view.setUint32(16, Math.max(data.length, more.originalLength ?? 0), !this.bigEndian);
    body.set(data.subarray(0, length), 20);
    body.set(options, 20 + padded(length));
    return this.#block(Block.enhancedPacket, body);
  }

  #block(type: number, body: Uint8Array): Uint8Array {
    const out = new Uint8Array(12 + body.length);
    const view = new DataView(out.buffer);
    view.setUint32(0, type, !this.bigEndian);
    view.setUint32(4, out.length, !this.bigEndian);
    out.set(body, 8);
    view.setUint32(8 + body.length, out.length, !this.bigEndian);
    return out;
  }

  /** seconds * 10^9 + nanoseconds in 64 bits, the upper half first; a number does not hold it exactly. */
  #stamp(view: DataView, at: number, seconds: number, nanoseconds: number): void {
    const stamp = BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds);
    view.setUint32(at, Number(stamp >> 32n), !this.bigEndian);
    view.setUint32(at + 4, Number(stamp & 0xffffffffn), !this.bigEndian);
  }

  #u64(value: number): Uint8Array {
    const out = new Uint8Array(8);
    new DataView(out.buffer).setBigUint64(0, BigInt(value), !this.bigEndian);
    return out;
  }

  #u32(value: number): Uint8Array {
    const out = new Uint8Array(4);
    new DataView(out.buffer).setUint32(0, value, !this.bigEndian);
    return out;
  }

  #options(list: readonly (readonly [code: number, value: string | Uint8Array | undefined])[]): Uint8Array {
    const values = list.flatMap(([code, value]) => {
      if (value === undefined) return [];
      const bytes = typeof value === 'string' ? encoder.encode(value).subarray(0, 65535) : value;
      return [{ code, bytes }];
    });
    if (values.length === 0) return new Uint8Array(0);
    const out = new Uint8Array(values.reduce((sum, { bytes }) => sum + 4 + padded(bytes.length), 4));
    const view = new DataView(out.buffer);
    let at = 0;
    for (const { code, bytes } of values) {
      view.setUint16(at, code, !this.bigEndian);
      view.setUint16(at + 2, bytes.length, !this.bigEndian);
      out.set(bytes, at + 4);
      at += 4 + padded(bytes.length);
    }
    // Four zero bytes end the list (opt_endofopt).
    return out;
  }
}

const encoder = new TextEncoder();

function padded(length: number): number {
  return (length + 3) & ~3;
}
