import { WirestreamError } from '../../device/errors.js';

/**
 * What a watched device tells, as bytes: from the thread that has the device to the process that writes the capture.
 *
 *     0  u32  length of the whole event, these HEADER bytes included
 *     4  u8   kind
 *     5  u8   flags
 *     6  u16  message: bytes of record header in front of it (8 or 12; 0 for a datagram)
 *     8  f64  when, ms since the Unix epoch
 *     16 u32  connection id; 0 for none
 *     20 u32  message as a datagram: number of the endpoint that it came from or goes to
 *     24 u32  number of the peer; 0 where it is not known
 *     28 u32  length of the message or packet, of which the event may have fewer bytes
 *     32      message with its record header, packet, or text
 *
 * All numbers are little-endian. Both ends are of one version, so nothing here is kept stable.
 */
export const HEADER = 32;
/** Where `peer` stands: it may become known after the event was written. */
export const PEER_AT = 24;
/** The longest event: a record of the longest message and the header here, with room to spare. */
export const EVENT_MAX = 1 << 17;

export const Kind = {
  message: 1,
  inner: 2,
  /** text: lines of a key log */
  keys: 3,
  /** text: JSON of EndpointNews; `endpoint` is its number */
  endpoint: 4,
  /** text: public key in base64; `peer` is its number */
  peer: 5,
  /** text: JSON of ConnectionNews */
  opened: 6,
  /** text: why, empty when it was closed from here */
  closed: 7,
  promoted: 8,
  activated: 9,
  /** text: the reason; `length` is how many */
  dropped: 10,
  /** `length` bytes were passed over before the next message of that connection */
  resync: 11,
  /** `length` events did not fit and are missing here */
  lost: 12,
  /** text: where `Transport = auto` takes the peer's messages to now, and why */
  moved: 13,
} as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

export const Flag = {
  /** towards the device */
  inbound: 1,
  /** the message was found by searching, and is a guess if it is dropped */
  found: 2,
  /** dropped: it is the event before that was dropped; opened: it was there before the capture began */
  before: 4,
} as const;

/** An outer address of the other end, and the local one that goes with it; null where that is not known. */
export interface EndpointNews {
  readonly remote: string;
  readonly remotePort: number;
  readonly local: string | null;
  readonly localPort: number;
}

export interface ConnectionNews extends EndpointNews {
  readonly direction: 'outbound' | 'inbound';
}

/** One event. One object is reused; `bytes` belong to the reader. */
export class TapEvent {
  kind: Kind = Kind.lost;
  flags = 0;
  header = 0;
  time = 0;
  connection = 0;
  endpoint = 0;
  peer = 0;
  length = 0;
  bytes: Uint8Array = NOTHING;

  get isInbound(): boolean {
    return (this.flags & Flag.inbound) !== 0;
  }

  get text(): string {
    return decoder.decode(this.bytes);
  }
}

const NOTHING = new Uint8Array(0);
const decoder = new TextDecoder();

/** Writes an event's header; `length` bytes of content follow. */
export function writeHeader(
  view: DataView,
  event: Omit<TapEvent, 'bytes' | 'text' | 'isInbound'>,
  content: number,
): void {
  view.setUint32(0, HEADER + content, true);
  view.setUint8(4, event.kind);
  view.setUint8(5, event.flags);
  view.setUint16(6, event.header, true);
  view.setFloat64(8, event.time, true);
  view.setUint32(16, event.connection, true);
  view.setUint32(20, event.endpoint, true);
  view.setUint32(PEER_AT, event.peer, true);
  view.setUint32(28, event.length, true);
}

/** Cuts the bytes that arrive, in chunks of any size, into events. */
export class EventReader {
  readonly #event = new TapEvent();
  #rest: Uint8Array = NOTHING;

  constructor(private readonly take: (event: TapEvent) => void) {}

  /** @throws WirestreamError capture-stream when the bytes are not what a device writes */
  push(chunk: Uint8Array): void {
    // A Buffer would share with its slices what they are to keep.
    let bytes = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length);
    if (this.#rest.length > 0) {
      bytes = new Uint8Array(this.#rest.length + chunk.length);
      bytes.set(this.#rest);
      bytes.set(chunk, this.#rest.length);
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = 0;
    while (bytes.length - at >= HEADER) {
      const length = view.getUint32(at, true);
      if (length < HEADER || length > EVENT_MAX) {
        throw new WirestreamError(
          'capture-stream',
          'the tunnel tells of its traffic in another language',
          'restart it',
        );
      }
      if (bytes.length - at < length) break;
      this.#hand(bytes, view, at, length);
      at += length;
    }
    this.#rest = at === bytes.length ? NOTHING : bytes.slice(at);
  }

  #hand(bytes: Uint8Array, view: DataView, at: number, length: number): void {
    const event = this.#event;
    event.kind = view.getUint8(at + 4) as Kind;
    event.flags = view.getUint8(at + 5);
    event.header = view.getUint16(at + 6, true);
    event.time = view.getFloat64(at + 8, true);
    event.connection = view.getUint32(at + 16, true);
    event.endpoint = view.getUint32(at + 20, true);
    event.peer = view.getUint32(at + PEER_AT, true);
    event.length = view.getUint32(at + 28, true);
    event.bytes = bytes.subarray(at + HEADER, at + length);
    this.take(event);
  }
}
