import { finish, sum } from '../checksum.js';
import type { IpHeader } from '../ipheader.js';
import type { IpPacket } from '../ippacket.js';

/** TCP flags (RFC 9293 §3.1). */
export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;

export const TCP_HEADER = 20;
/** of an MSS, a window scale, a SACK-permitted and padding */
export const SYN_OPTIONS = 12;
/** Blocks that fit beside nothing else: 3 are what other stacks send with timestamps (RFC 2018 §3). */
export const SACK_BLOCKS = 3;

/** Option kinds (RFC 9293 §3.2, RFC 7323 §2, RFC 2018). */
const OPTION_END = 0;
const OPTION_NOP = 1;
const OPTION_MSS = 2;
const OPTION_SCALE = 3;
const OPTION_SACK_PERMITTED = 4;
const OPTION_SACK = 5;

/** Largest useful window scale (RFC 7323 §2.3). */
const SCALE_MAX = 14;

/** A look at one TCP segment where it lies. One object serves all; sequence numbers are unsigned. */
export class Segment {
  view: DataView = new DataView(new ArrayBuffer(0));
  sourcePort = 0;
  destinationPort = 0;
  sequence = 0;
  acknowledgement = 0;
  flags = 0;
  /** not scaled */
  window = 0;
  data = 0;
  dataLength = 0;
  /** bytes of data that its sender puts into one segment, as far as this one tells: a super-packet stands for several */
  unit = 0;
  /** of a SYN: 0 and -1 when the option is absent */
  mss = 0;
  scale = -1;
  sackPermitted = false;
  /** offset of the first SACK block and how many there are */
  sack = 0;
  sackCount = 0;

  /**
   * @param unit of a super-packet: bytes of data per segment. Its checksum is not complete, and not needed: it never left our memory as it is
   * @returns false when the packet holds no whole segment with a right checksum
   */
  parse(packet: IpPacket, unit = 0): boolean {
    const { view, payload: at, payloadLength: length } = packet;
    if (length < TCP_HEADER) return false;
    const header = (view.getUint8(at + 12) >> 4) * 4;
    if (header < TCP_HEADER || header > length) return false;
    if (unit === 0 && finish(packet.pseudoSum(length) + sum(view, at, length, packet.vectorSum)) !== 0) return false;
    this.view = view;
    this.sourcePort = view.getUint16(at);
    this.destinationPort = view.getUint16(at + 2);
    this.sequence = view.getUint32(at + 4);
    this.acknowledgement = view.getUint32(at + 8);
    this.flags = view.getUint8(at + 13);
    this.window = view.getUint16(at + 14);
    this.data = at + header;
    this.dataLength = length - header;
    this.unit = unit === 0 ? this.dataLength : unit;
    this.mss = 0;
    this.scale = -1;
    this.sackPermitted = false;
    this.sackCount = 0;
    if (header > TCP_HEADER) this.#options(view, at + TCP_HEADER, at + header);
    return true;
  }

  has(flag: number): boolean {
    return (this.flags & flag) !== 0;
  }

  /** Broken options end the list; what stood before them counts (RFC 9293 §3.2 asks for tolerance). */
  #options(view: DataView, from: number, end: number): void {
    for (let at = from; at < end;) {
      const kind = view.getUint8(at);
      if (kind === OPTION_END) return;
      if (kind === OPTION_NOP) {
        at++;
        continue;
      }
      if (at + 1 >= end) return;
      const length = view.getUint8(at + 1);
      if (length < 2 || at + length > end) return;
      if (kind === OPTION_MSS && length === 4) this.mss = view.getUint16(at + 2);
      else if (kind === OPTION_SCALE && length === 3) this.scale = Math.min(view.getUint8(at + 2), SCALE_MAX);
      else if (kind === OPTION_SACK_PERMITTED && length === 2) this.sackPermitted = true;
      else if (kind === OPTION_SACK && length % 8 === 2) {
        this.sack = at + 2;
        this.sackCount = (length - 2) / 8;
      }
      at += length;
    }
  }
}

/** What goes into a header; one object serves all. */
export class SegmentFields {
  sourcePort = 0;
  destinationPort = 0;
  sequence = 0;
  acknowledgement = 0;
  flags = 0;
  /** as it goes into the field: scaled */
  window = 0;
  /** with SYN: the options to send; scale -1 for none */
  mss = 0;
  scale = -1;
  sackPermitted = false;
  /** without SYN: SACK blocks, pairs of sequence numbers */
  readonly sack = new Uint32Array(2 * SACK_BLOCKS);
  sackCount = 0;
}

/** How long a header with these fields is. */
export function headerLength(fields: SegmentFields): number {
  if ((fields.flags & SYN) !== 0) return TCP_HEADER + SYN_OPTIONS;
  return TCP_HEADER + (fields.sackCount > 0 ? 4 + 8 * fields.sackCount : 0);
}

/**
 * Writes IP and TCP headers of a segment whose data is already in its place, `headerLength` behind the IP header.
 * @param dataSum the sum of the data; or -1 for a super-packet, whose checksum field holds the sum of the pseudo header for whoever cuts it up
 * @returns the packet's length
 */
export function writeSegment(
  to: DataView,
  at: number,
  ip: IpHeader,
  fields: SegmentFields,
  dataLength: number,
  dataSum: number,
): number {
  const header = headerLength(fields);
  const tcp = at + ip.length;
  ip.write(to, at, header + dataLength);
  to.setUint16(tcp, fields.sourcePort);
  to.setUint16(tcp + 2, fields.destinationPort);
  to.setUint32(tcp + 4, fields.sequence);
  to.setUint32(tcp + 8, fields.acknowledgement);
  to.setUint8(tcp + 12, header << 2);
  to.setUint8(tcp + 13, fields.flags);
  to.setUint16(tcp + 14, fields.window);
  to.setUint32(tcp + 16, 0);
  if ((fields.flags & SYN) !== 0) writeSynOptions(to, tcp + TCP_HEADER, fields);
  else if (fields.sackCount > 0) writeSack(to, tcp + TCP_HEADER, fields);
  const pseudo = ip.pseudoSum(header + dataLength);
  if (dataSum < 0) to.setUint16(tcp + 16, ~finish(pseudo) & 0xffff, true);
  else to.setUint16(tcp + 16, finish(pseudo + sum(to, tcp, header) + dataSum), true);
  return ip.length + header + dataLength;
}

function writeSynOptions(to: DataView, at: number, fields: SegmentFields): void {
  to.setUint32(at, (OPTION_MSS << 24) | (4 << 16) | fields.mss);
  to.setUint32(at + 4, 0x01010101 * OPTION_NOP);
  to.setUint32(at + 8, 0x01010101 * OPTION_NOP);
  if (fields.sackPermitted) to.setUint16(at + 6, (OPTION_SACK_PERMITTED << 8) | 2);
  if (fields.scale >= 0) to.setUint32(at + 8, (OPTION_NOP << 24) | (OPTION_SCALE << 16) | (3 << 8) | fields.scale);
}

function writeSack(to: DataView, at: number, fields: SegmentFields): void {
  const { sackCount } = fields;
  to.setUint32(at, (OPTION_NOP << 24) | (OPTION_NOP << 16) | (OPTION_SACK << 8) | (2 + 8 * sackCount));
  for (let i = 0; i < 2 * sackCount; i++) to.setUint32(at + 4 + 4 * i, fields.sack[i]!);
}
