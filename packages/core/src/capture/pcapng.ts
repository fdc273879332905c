import { WirestreamError } from '../device/errors.js';
import { ChunkParser, u16, u32 } from './feed.js';
import { CapturedPacket, PACKET_MAX, type CaptureHandler } from './packet.js';
import { DEFAULT_RESOLUTION, clockOf, type PacketClock } from './pcapngclock.js';

/** Block types (draft-ietf-opsawg-pcapng §4, §10.1); all others are passed over. */
export const Block = {
  section: 0x0a0d0d0a,
  interface: 1,
  obsoletePacket: 2,
  simplePacket: 3,
  nameResolution: 4,
  interfaceStatistics: 5,
  enhancedPacket: 6,
  journal: 9,
  decryptionSecrets: 10,
  custom: 0xbad,
  customNotCopied: 0x40000bad,
} as const;
/** Written in the section's own byte order behind the block length. */
export const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
/** Secrets type of a WireGuard key log ("WGKL", draft-ietf-opsawg-pcapng §4.7). */
export const SECRETS_WIREGUARD = 0x57474b4c;

/** Options (draft §3.5, §4.2). */
export const Option = { end: 0, comment: 1, interfaceName: 2, timestampResolution: 9, timestampOffset: 14 } as const;

/** Type, length and trailing length. */
const BLOCK_MIN = 12;
/** The longest block that is gathered: a packet of the largest size with many options, or a large key log. */
const BLOCK_MAX = 2 * PACKET_MAX;
/** The longest block that is believed to be one at all; a longer length field is taken for damage. */
const BLOCK_BELIEVED = 1 << 28;
/** Interfaces that one file may describe: each costs memory for as long as the file is read. */
const INTERFACES_MAX = 4096;

interface Interface {
  readonly id: number;
  readonly linkType: number;
  readonly snapLength: number;
  readonly clock: PacketClock;
}

/** Whether four bytes begin a pcapng file. */
export function isPcapng(bytes: Uint8Array, at: number): boolean {
  return u32(bytes, at, true) === Block.section;
}

/**
 * Reads a pcapng file: several sections and interfaces, either byte order per section, every block used or skipped.
 *
 * Theory of operation. A block states its length at its beginning and at its end. When the two differ, or the first one cannot be, the
 * reader searches, byte by byte, for the next offset where a block of a type that it uses has two equal lengths. What is gathered for
 * that is bounded by BLOCK_MAX; longer blocks of the types that may be long are passed over without being gathered.
 */
export class PcapngReader extends ChunkParser {
  readonly #packet = new CapturedPacket();
  #interfaces: Interface[] = [];
  #interfaceCount = 0;
  #little = true;
  #sections = 0;
  #count = 0;
  #searching = false;

  constructor(private readonly handler: CaptureHandler) {
    super(BLOCK_MAX);
    this.need = BLOCK_MIN;
  }

  /** packets handed out */
  get packets(): number {
    return this.#count;
  }

  protected step(bytes: Uint8Array, start: number, end: number): number {
    if (end - start < BLOCK_MIN) return this.#wait(BLOCK_MIN);
    if (this.#searching) return this.#search(bytes, start, end);
    const type = u32(bytes, start, this.#little);
    if (type === Block.section && !this.#byteOrder(bytes, start)) return this.#lose('has no byte order mark');
    const length = u32(bytes, start + 4, this.#little);
    if (this.#sections === 0 && type !== Block.section) return this.#lose('comes before any section header');
    if (length < BLOCK_MIN || length % 4 !== 0 || length > BLOCK_BELIEVED)
      return this.#lose(`claims to be ${length} bytes long`);
    if (length > BLOCK_MAX) {
      if (!mayBeLong(type)) return this.#lose(`claims to be ${length} bytes long`);
      if (type === Block.decryptionSecrets) this.#report(`its secrets block of ${length} bytes is too long to be used`);
      this.skip = length;
      this.need = BLOCK_MIN;
      return this.#skipNow(start, end);
    }
    if (end - start < length) {
      const isWrong = this.ended && this.#find(bytes, start + 1, end) >= 0;
      return isWrong ? this.#lose(`claims to be ${length} bytes long`) : this.#wait(length);
    }
    if (u32(bytes, start + length - 4, this.#little) !== length) return this.#lose('states two different lengths');
    const next = start + length;
    if (end - next >= BLOCK_MIN && !this.#mayBegin(bytes, next)) {
      // A block that lost bytes may end in the length of the next one.
      const inner = this.#find(bytes, start + 4, end);
      if (inner >= 0 && inner < next) return this.#lose('reaches into the block behind it');
    }
    this.need = BLOCK_MIN;
    this.#block(type, bytes, start + 8, start + length - 4);
    return length;
  }

  protected finish(left: number): void {
    if (left === 0 && this.skip === 0 && this.#sections > 0) return;
    if (this.#searching) return;
    this.handler.damage?.(
      new WirestreamError(
        'capture-truncated',
        `the capture is cut off behind packet ${this.#count}, inside the block at byte ${this.position} of the file`,
        'everything before it was read; copy the file again, or capture again',
      ),
    );
  }

  #wait(size: number): 0 {
    this.need = size;
    return 0;
  }

  #skipNow(start: number, end: number): number {
    const now = Math.min(this.skip, end - start);
    this.skip -= now;
    return now;
  }

  /** Sets the byte order of the section that begins at `start`; false when its mark is neither. */
  #byteOrder(bytes: Uint8Array, start: number): boolean {
    if (u32(bytes, start + 8, true) === BYTE_ORDER_MAGIC) this.#little = true;
    else if (u32(bytes, start + 8, false) === BYTE_ORDER_MAGIC) this.#little = false;
    else return false;
    return true;
  }

  #lose(what: string): number {
    this.#searching = true;
    this.need = BLOCK_MIN;
    this.#report(`the block at byte ${this.position} of the file ${what}`);
    return 1;
  }

  #report(what: string): void {
    this.handler.damage?.(
      new WirestreamError(
        'capture-damaged',
        `the capture is damaged behind packet ${this.#count}: ${what}`,
        'what could be read around it was read; capture again if it matters',
      ),
    );
  }

  #search(bytes: Uint8Array, start: number, end: number): number {
    const at = this.#find(bytes, start, end);
    if (at < 0) {
      this.need = BLOCK_MIN;
      return Math.max(0, end - start - BLOCK_MIN + 1);
    }
    const length = u32(bytes, at + 4, this.#little);
    if (end - at < length) {
      this.need = length;
      return at - start;
    }
    this.#searching = false;
    this.need = BLOCK_MIN;
    return at === start ? this.step(bytes, start, end) : at - start;
  }

  #mayBegin(bytes: Uint8Array, at: number): boolean {
    const type = u32(bytes, at, this.#little);
    if (type === Block.section) return true;
    const length = u32(bytes, at + 4, this.#little);
    return length >= BLOCK_MIN && length % 4 === 0 && (length <= BLOCK_MAX || mayBeLong(type));
  }

  /** The first offset from `from` on where a block that is used has two equal lengths, or may have when more of it has come; -1 when there is none. */
  #find(bytes: Uint8Array, from: number, end: number): number {
    for (let at = from; end - at >= BLOCK_MIN; at++) {
      const type = u32(bytes, at, this.#little);
      if (type === Block.section ? !this.#byteOrder(bytes, at) : !isUsed(type)) continue;
      const length = u32(bytes, at + 4, this.#little);
      if (length < BLOCK_MIN || length % 4 !== 0 || length > BLOCK_MAX) continue;
      if (end - at < length ? !this.ended : u32(bytes, at + length - 4, this.#little) === length) return at;
    }
    return -1;
  }

  /** @param at, to the block's body */
  #block(type: number, bytes: Uint8Array, at: number, to: number): void {
    switch (type) {
      case Block.section:
        return this.#section(bytes, at, to);
      case Block.interface:
        return this.#interface(bytes, at, to);
      case Block.enhancedPacket:
        return this.#enhanced(bytes, at, to);
      case Block.simplePacket:
        return this.#simple(bytes, at, to);
      case Block.obsoletePacket:
        return this.#obsolete(bytes, at, to);
      case Block.decryptionSecrets:
        return this.#secrets(bytes, at, to);
    }
  }

  #section(bytes: Uint8Array, at: number, to: number): void {
    if (to - at < 16) return this.#report('a section header is too short');
    const major = u16(bytes, at + 4, this.#little);
    const minor = u16(bytes, at + 6, this.#little);
    // Minor version 2 is a draft's that reads like 0 (draft §4.1).
    if (major !== 1) {
      throw new WirestreamError(
        'capture-version',
        `the capture is of pcapng version ${major}.${minor}; only 1.0 is known`,
        'rewrite it with: editcap -F pcap IN OUT',
      );
    }
    this.#sections++;
    this.#interfaces = [];
  }

  #interface(bytes: Uint8Array, at: number, to: number): void {
    if (to - at < 8) return this.#report('an interface description is too short');
    if (this.#interfaceCount >= INTERFACES_MAX) {
      throw new WirestreamError('capture-interfaces', `the capture describes more than ${INTERFACES_MAX} interfaces`);
    }
    const linkType = u16(bytes, at, this.#little);
    const snapLength = u32(bytes, at + 4, this.#little);
    let name: string | undefined;
    let resolution: number = DEFAULT_RESOLUTION;
    let offset = 0n;
    this.#options(bytes, at + 8, to, (code, from, length) => {
      if (code === Option.interfaceName) name = text(bytes, from, length);
      else if (code === Option.timestampResolution && length >= 1) resolution = bytes[from]!;
      else if (code === Option.timestampOffset && length >= 8) {
        const a = u32(bytes, from, this.#little);
        const b = u32(bytes, from + 4, this.#little);
        offset = BigInt.asIntN(64, this.#little ? (BigInt(b) << 32n) | BigInt(a) : (BigInt(a) << 32n) | BigInt(b));
      }
    });
    const id = this.#interfaceCount++;
    this.#interfaces.push({ id, linkType, snapLength, clock: clockOf(resolution, offset) });
    this.handler.interface?.(name === undefined ? { id, linkType, snapLength } : { id, linkType, snapLength, name });
  }

  #enhanced(bytes: Uint8Array, at: number, to: number): void {
    if (to - at < 20) return this.#report('a packet block is too short');
    const captured = u32(bytes, at + 12, this.#little);
    this.#emit(bytes, at + 20, to, captured, u32(bytes, at + 16, this.#little), u32(bytes, at, this.#little), at + 4);
  }

  /** The obsolete packet block: as the enhanced one, but 16 bits each of interface and drop count. */
  #obsolete(bytes: Uint8Array, at: number, to: number): void {
    if (to - at < 20) return this.#report('a packet block is too short');
    const captured = u32(bytes, at + 12, this.#little);
    this.#emit(bytes, at + 20, to, captured, u32(bytes, at + 16, this.#little), u16(bytes, at, this.#little), at + 4);
  }

  /** Interface 0, no time: it is given the time of the packet before. */
  #simple(bytes: Uint8Array, at: number, to: number): void {
    if (to - at < 4) return this.#report('a packet block is too short');
    const original = u32(bytes, at, this.#little);
    const snap = this.#interfaces[0]?.snapLength ?? 0;
    const captured = Math.min(original, snap === 0 ? original : snap, to - at - 4);
    this.#emit(bytes, at + 4, to, captured, original, 0, -1);
  }

  #emit(bytes: Uint8Array, at: number, to: number, captured: number, original: number, id: number, time: number): void {
    const from = this.#interfaces[id];
    if (from === undefined)
      return this.#report(`packet ${this.#count + 1} names interface ${id}, which is not described`);
    if (captured > PACKET_MAX || captured > to - at) {
      return this.#report(
        `packet ${this.#count + 1} claims ${captured} captured bytes in a block that has room for ${to - at}`,
      );
    }
    const packet = this.#packet;
    packet.number = ++this.#count;
    packet.interfaceId = from.id;
    packet.linkType = from.linkType;
    if (time >= 0) {
      const clock = from.clock;
      clock.read(u32(bytes, time, this.#little), u32(bytes, time + 4, this.#little));
      packet.seconds = clock.seconds;
      packet.nanoseconds = clock.nanoseconds;
    }
    packet.bytes = bytes;
    packet.offset = at;
    packet.capturedLength = captured;
    packet.originalLength = Math.max(captured, original);
    packet.comment = undefined;
    const options = at + ((captured + 3) & ~3);
    if (time >= 0 && options < to) {
      this.#options(bytes, options, to, (code, offset, length) => {
        if (code !== Option.comment) return;
        const line = text(bytes, offset, length);
        packet.comment = packet.comment === undefined ? line : `${packet.comment}\n${line}`;
      });
    }
    this.handler.packet(packet);
  }

  #secrets(bytes: Uint8Array, at: number, to: number): void {
    if (to - at < 8) return this.#report('a secrets block is too short');
    const length = u32(bytes, at + 4, this.#little);
    if (length > to - at - 8) return this.#report('a secrets block is longer than its block');
    this.handler.secrets?.(u32(bytes, at, this.#little), bytes.subarray(at + 8, at + 8 + length));
  }

  /** Calls back for each option; stops at the first that does not fit. */
  #options(
    bytes: Uint8Array,
    from: number,
    to: number,
    each: (code: number, offset: number, length: number) => void,
  ): void {
    let at = from;
    while (to - at >= 4) {
      const code = u16(bytes, at, this.#little);
      const length = u16(bytes, at + 2, this.#little);
      if (code === Option.end || length > to - at - 4) return;
      each(code, at + 4, length);
      at += 4 + ((length + 3) & ~3);
    }
  }
}

function isUsed(type: number): boolean {
  return (
    type === Block.enhancedPacket ||
    type === Block.section ||
    type === Block.interface ||
    type === Block.simplePacket ||
    type === Block.obsoletePacket ||
    type === Block.decryptionSecrets
  );
}

/** Blocks of these types are passed over however long they are; any other that claims to be long is taken for damage. */
function mayBeLong(type: number): boolean {
  return (
    type === Block.nameResolution ||
    type === Block.interfaceStatistics ||
    type === Block.decryptionSecrets ||
    type === Block.journal ||
    type === Block.custom ||
    type === Block.customNotCopied
  );
}

const decoder = new TextDecoder();

function text(bytes: Uint8Array, at: number, length: number): string {
  return decoder.decode(bytes.subarray(at, at + length));
}
