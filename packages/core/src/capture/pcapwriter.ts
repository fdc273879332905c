import { PCAP_MICRO, PCAP_NANO } from './pcap.js';
import { PACKET_MAX } from './packet.js';

export interface PcapOptions {
  /** LINKTYPE_* number */
  readonly linkType: number;
  /** nanosecond stamps (default: microseconds, which every tool reads) */
  readonly nanoseconds?: boolean;
  readonly bigEndian?: boolean;
  /** bytes; longer packets are cut. Default PACKET_MAX */
  readonly snapLength?: number;
}

/** Writes the classic format (draft-ietf-opsawg-pcap). Each call returns the bytes to append to the file. */
export class PcapWriter {
  readonly #little: boolean;
  readonly #nano: boolean;
  readonly #snap: number;

  constructor(private readonly options: PcapOptions) {
    this.#little = options.bigEndian !== true;
    this.#nano = options.nanoseconds === true;
    this.#snap = options.snapLength ?? PACKET_MAX;
  }

  header(): Uint8Array {
    const out = new Uint8Array(24);
    const view = new DataView(out.buffer);
    view.setUint32(0, this.#nano ? PCAP_NANO : PCAP_MICRO, this.#little);
    view.setUint16(4, 2, this.#little);
    view.setUint16(6, 4, this.#little);
    view.setUint32(16, this.#snap, this.#little);
    view.setUint32(20, this.options.linkType, this.#little);
    return out;
  }

  /**
   * @param seconds whole seconds since the Unix epoch
   * @param nanoseconds and the rest
   * @param originalLength bytes that the packet had on the wire, if more than `data` has
   */
  packet(seconds: number, nanoseconds: number, data: Uint8Array, originalLength = data.length): Uint8Array {
    const length = Math.min(data.length, this.#snap);
    const out = new Uint8Array(16 + length);
    const view = new DataView(out.buffer);
    view.setUint32(0, seconds, this.#little);
    view.setUint32(4, this.#nano ? nanoseconds : Math.floor(nanoseconds / 1000), this.#little);
    view.setUint32(8, length, this.#little);
    view.setUint32(12, Math.max(originalLength, data.length), this.#little);
    out.set(data.subarray(0, length), 16);
    return out;
  }
}
