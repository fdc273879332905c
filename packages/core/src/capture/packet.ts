import type { WirestreamError } from '../device/errors.js';

/**
 * One packet of a capture file. The readers reuse one object and one piece of memory for all packets: whoever keeps
 * anything past the call copies it.
 */
export class CapturedPacket {
  /** counted from 1 over the whole file, as Wireshark's frame numbers are */
  number = 0;
  /** index into the interfaces in order of appearance (always 0 for classic pcap) */
  interfaceId = 0;
  /** LINKTYPE_* number */
  linkType = 0;
  /** whole seconds since the Unix epoch */
  seconds = 0;
  /** and the rest, 0–999999999 */
  nanoseconds = 0;
  /** the packet is at [offset, offset + capturedLength) of these */
  bytes: Uint8Array = new Uint8Array(0);
  offset = 0;
  /** bytes that the file holds */
  capturedLength = 0;
  /** bytes that were on the wire; more than the above where the capture cut the packet */
  originalLength = 0;
  /** the packet's comments (pcapng option opt_comment), joined by line ends */
  comment: string | undefined;

  /** A view of the captured bytes, valid as long as `bytes` are. */
  get data(): Uint8Array {
    return this.bytes.subarray(this.offset, this.offset + this.capturedLength);
  }
}

/** What a capture file says of one interface. */
export interface CaptureInterface {
  readonly id: number;
  readonly linkType: number;
  /** the longest packet that was kept whole, bytes; 0 means no limit was stated */
  readonly snapLength: number;
  readonly name?: string;
}

/** Takes what a capture reader finds. */
export interface CaptureHandler {
  packet(packet: CapturedPacket): void;
  /** an interface, before its first packet */
  interface?(description: CaptureInterface): void;
  /** a decryption secrets block (pcapng); the bytes are the reader's and change after the call */
  secrets?(type: number, bytes: Uint8Array): void;
  /** part of the file could not be read; reading goes on behind it where that is possible */
  damage?(error: WirestreamError): void;
}

/** The longest packet a capture may hold, bytes: libpcap's MAXIMUM_SNAPLEN (pcap-int.h), which tcpdump's -s 0 means too. */
export const PACKET_MAX = 262144;

/** Seconds between two packets, as a float; exact enough for showing and for time-outs. */
export function secondsBetween(fromSeconds: number, fromNanos: number, toSeconds: number, toNanos: number): number {
  return toSeconds - fromSeconds + (toNanos - fromNanos) / 1e9;
}
