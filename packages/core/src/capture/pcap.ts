import { WirestreamError } from '../device/errors.js';
import { ChunkParser, u16, u32 } from './feed.js';
import { CapturedPacket, PACKET_MAX, type CaptureHandler } from './packet.js';

/** Magic numbers of the classic format (draft-ietf-opsawg-pcap §4): microseconds, nanoseconds. */
export const PCAP_MICRO = 0xa1b2c3d4;
export const PCAP_NANO = 0xa1b23c4d;

const FILE_HEADER = 24;
const PACKET_HEADER = 16;
/** What a search says when there is no header, and when it cannot say yet. */
const NONE = -1;
const UNDECIDED = -2;
/** How far two packets in a row may lie apart for headers found by searching to be believed, s. */
const PLAUSIBLE_GAP = 86400;

/** Whether four bytes begin a classic pcap file, in either byte order. */
export function isPcap(bytes: Uint8Array, at: number): boolean {
  const little = u32(bytes, at, true);
  const big = u32(bytes, at, false);
  return little === PCAP_MICRO || little === PCAP_NANO || big === PCAP_MICRO || big === PCAP_NANO;
}

/**
 * Reads a classic pcap file, micro- or nanoseconds, either byte order.
 *
 * Theory of operation. The format has nothing to find packet boundaries by except each header's captured length, so one
 * damaged length would lose the rest of the file. Before a packet is handed out, the header behind it is looked at
 * (where it has arrived already); when it cannot be one, the reader searches for the next offset at which a plausible
 * header is followed by another one, and goes on there. A packet into which such a header reaches is cut before it.
 */
export class PcapReader extends ChunkParser {
  /** the link type of all packets; -1 until the file header was read */
  linkType = -1;
  readonly #packet = new CapturedPacket();
  #little = false;
  #nano = false;
  #count = 0;
  #searching = false;
  #chainStart = 0;
  #chainNeed = 0;
  /** time (s) of the last packet that another one followed in its place; -1 before there was one */
  #reference = -1;

  constructor(private readonly handler: CaptureHandler) {
    // Three packets in a row and the header behind them: what the search looks at.
    super(3 * (PACKET_MAX + PACKET_HEADER) + PACKET_HEADER);
    this.need = FILE_HEADER;
  }

  /** packets handed out */
  get packets(): number {
    return this.#count;
  }

  protected step(bytes: Uint8Array, start: number, end: number): number {
    if (this.linkType < 0) return this.#fileHeader(bytes, start, end);
    if (end - start < PACKET_HEADER) return this.#wait(PACKET_HEADER);
    if (this.#searching) return this.#search(bytes, start, end);
    const captured = u32(bytes, start + 8, this.#little);
    if (captured > PACKET_MAX)
      return this.#lose(`it claims to be ${captured} bytes long (at most ${PACKET_MAX} are possible)`);
    const size = PACKET_HEADER + captured;
    if (end - start < size) {
      const inner = this.ended ? this.#findChain(bytes, start + PACKET_HEADER, end, end) : NONE;
      return inner === NONE ? this.#wait(size) : this.#cut(bytes, start, inner);
    }
    const next = start + size;
    const isNextSeen = end - next >= PACKET_HEADER;
    if (!this.#trusted(bytes, start)) {
      const row = this.#plausible(bytes, start) ? this.#chain(bytes, start, end, 3) : NONE;
      if (row === UNDECIDED) return this.#wait(this.#chainNeed);
      if (row === NONE) return this.#lose('its header cannot be one');
    } else if (isNextSeen && !this.#trusted(bytes, next)) {
      // Where the next header has not arrived yet there is nothing to doubt: a live capture is shown without delay.
      const inner = this.#findChain(bytes, start + PACKET_HEADER, next, end);
      if (inner === UNDECIDED) return this.#wait(this.#chainStart + this.#chainNeed - start);
      if (inner !== NONE) return this.#cut(bytes, start, inner);
    }
    this.#emit(bytes, start, captured);
    if (isNextSeen && this.#plausible(bytes, next)) this.#reference = this.#packet.seconds;
    return size;
  }

  protected finish(left: number): void {
    if (this.linkType < 0) {
      throw new WirestreamError(
        'capture-truncated',
        `the capture ends after ${this.position + left} bytes, inside its ${FILE_HEADER}-byte file header`,
        'copy the file again, or capture again',
      );
    }
    // What was passed over in a search has been reported when the search began.
    if (left > 0 && !this.#searching) {
      this.handler.damage?.(
        new WirestreamError(
          'capture-truncated',
          `the capture is cut off inside packet ${this.#count + 1}, at byte ${this.position} of the file (${left} bytes of the packet are there)`,
          'everything before it was read; copy the file again, or capture again',
        ),
      );
    }
  }

  #wait(size: number): 0 {
    this.need = size;
    return 0;
  }

  #fileHeader(bytes: Uint8Array, start: number, end: number): number {
    if (end - start < FILE_HEADER) return this.#wait(FILE_HEADER);
    const little = u32(bytes, start, true);
    const big = u32(bytes, start, false);
    this.#little = little === PCAP_MICRO || little === PCAP_NANO;
    this.#nano = little === PCAP_NANO || big === PCAP_NANO;
    const major = u16(bytes, start + 4, this.#little);
    const minor = u16(bytes, start + 6, this.#little);
    if (major !== 2 || minor !== 4) {
      throw new WirestreamError(
        'capture-version',
        `the capture is of pcap version ${major}.${minor}; only 2.4 is known`,
        'rewrite it with: editcap -F pcapng IN OUT',
      );
    }
    // The upper half holds what is known of frame check sequences, not part of the type (draft-ietf-opsawg-pcap §4).
    this.linkType = u32(bytes, start + 20, this.#little) & 0xffff;
    const snapLength = u32(bytes, start + 16, this.#little);
    this.handler.interface?.({ id: 0, linkType: this.linkType, snapLength });
    this.need = PACKET_HEADER;
    return FILE_HEADER;
  }

  #emit(bytes: Uint8Array, start: number, captured: number): void {
    const packet = this.#packet;
    const fraction = u32(bytes, start + 4, this.#little);
    const perSecond = this.#nano ? 1e9 : 1e6;
    packet.number = ++this.#count;
    packet.linkType = this.linkType;
    packet.seconds = u32(bytes, start, this.#little) + Math.floor(fraction / perSecond);
    packet.nanoseconds = (fraction % perSecond) * (this.#nano ? 1 : 1000);
    packet.bytes = bytes;
    packet.offset = start + PACKET_HEADER;
    packet.capturedLength = captured;
    packet.originalLength = Math.max(captured, u32(bytes, start + 12, this.#little));
    this.need = PACKET_HEADER;
    this.handler.packet(packet);
  }

  /** Hands out what lies before the header found inside the packet at `start`. */
  #cut(bytes: Uint8Array, start: number, inner: number): number {
    this.#report(this.position, 'it reaches into the packet behind it');
    this.#emit(bytes, start, inner - start - PACKET_HEADER);
    return inner - start;
  }

  /** The header at the cursor cannot be one: looks for the next from the byte behind it. */
  #lose(what: string): number {
    this.#searching = true;
    this.need = PACKET_HEADER;
    this.#report(this.position, what);
    return 1;
  }

  #report(at: number, what: string): void {
    this.handler.damage?.(
      new WirestreamError(
        'capture-damaged',
        `packet ${this.#count + 1}, at byte ${at} of the file, is damaged: ${what}`,
        'what could be read around it was read; capture again if it matters',
      ),
    );
  }

  #search(bytes: Uint8Array, start: number, end: number): number {
    const found = this.#findChain(bytes, start, end, end);
    if (found === UNDECIDED) {
      this.need = this.#chainNeed;
      return this.#chainStart - start;
    }
    if (found === NONE) {
      this.need = PACKET_HEADER;
      return Math.max(0, end - start - PACKET_HEADER + 1);
    }
    this.#searching = false;
    return found === start ? this.step(bytes, start, end) : found - start;
  }

  /**
   * The first offset in [from, to) at which a row of plausible headers begins, or NONE, or UNDECIDED when #chainNeed bytes from
   * #chainStart on have to be seen first. With a packet before to compare with, two headers make a row: a header read one byte too early
   * often looks like one, but not like one of that time. Without one it takes three.
   */
  #findChain(bytes: Uint8Array, from: number, to: number, end: number): number {
    for (let at = from; at < to && end - at >= PACKET_HEADER; at++) {
      if (!this.#plausible(bytes, at)) continue;
      const isKnown = this.#reference >= 0;
      if (isKnown && !near(u32(bytes, at, this.#little), this.#reference)) continue;
      const found = this.#chain(bytes, at, end, isKnown ? 2 : 3);
      if (found === NONE) continue;
      if (found === UNDECIDED) this.#chainStart = at;
      return found === UNDECIDED ? UNDECIDED : at;
    }
    return NONE;
  }

  /** Whether `count` plausible headers follow each other from `start` on, or fewer up to the exact end of the file. */
  #chain(bytes: Uint8Array, start: number, end: number, count: number): number {
    let at = start;
    for (let i = 1; i < count; i++) {
      const next = at + PACKET_HEADER + u32(bytes, at + 8, this.#little);
      if (next + PACKET_HEADER > end) {
        if (this.ended) return next === end ? start : NONE;
        this.#chainNeed = next + PACKET_HEADER - start;
        return UNDECIDED;
      }
      if (!this.#plausible(bytes, next) || !near(u32(bytes, at, this.#little), u32(bytes, next, this.#little)))
        return NONE;
      at = next;
    }
    return start;
  }

  /** A header that needs no others to be believed. */
  #trusted(bytes: Uint8Array, at: number): boolean {
    if (!this.#plausible(bytes, at)) return false;
    return this.#reference < 0 || near(u32(bytes, at, this.#little), this.#reference);
  }

  /** What hardly anything but a packet header fulfils. */
  #plausible(bytes: Uint8Array, at: number): boolean {
    const captured = u32(bytes, at + 8, this.#little);
    const original = u32(bytes, at + 12, this.#little);
    // Nothing is 0 bytes long on any link; zeros are what a file system leaves after a crash.
    if (captured === 0 || captured > original || original > PACKET_MAX) return false;
    // Some programs write nanoseconds under the magic number of microseconds.
    return u32(bytes, at + 4, this.#little) < 1e9;
  }
}

/** Whether two times (s) are about the same. */
function near(a: number, b: number): boolean {
  return Math.abs(a - b) <= PLAUSIBLE_GAP;
}
