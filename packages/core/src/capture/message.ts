import type { TcpConnection, Side } from './connection.js';
import type { FlowEnd } from './flowkey.js';
import type { HandshakeInfo } from './handshakes.js';
import type { SessionDirection } from './session.js';
import type { UdpFlow } from './udpflows.js';

/** What became of a message, beyond being seen. */
export const Status = {
  /** nothing of it needed a key, or it was checked: see `handshake` */
  seen: 'seen',
  decrypted: 'decrypted',
  /** authenticated, but its counter had been seen before or is too old: a receiver drops it */
  replayed: 'replayed',
  /** no handshake with its receiver index is in the capture */
  unknownSession: 'unknown session',
  /** the handshake is in the capture, but keys to open it are missing */
  noKeys: 'keys missing',
  /** keys are known, and its tag does not match */
  failed: 'authentication failed',
  /** part of it is missing from the capture */
  cut: 'bytes missing',
  /** a record whose content is none of the four messages */
  invalid: 'not a message',
} as const;
export type Status = (typeof Status)[keyof typeof Status];

const EMPTY = new Uint8Array(0);

/**
 * One WireGuard message of a capture. One object is reused for all; whoever keeps anything past the call copies it.
 */
export class Message {
  /** of the packet that brought its last byte */
  frame = 0;
  seconds = 0;
  nanoseconds = 0;
  /** what carried it: exactly one of the two */
  connection: TcpConnection | null = null;
  flow: UdpFlow | null = null;
  side: Side = 0;

  /** TCP: the record's offset in its stream, its length and flags; and the fragment metadata, -1 if there is none */
  recordOffset = 0;
  recordLength = 0;
  recordFlags = 0;
  fragmentIdentification = -1;
  fragmentField = -1;

  /** the message itself, as it was on the wire: raw[rawOffset, rawOffset + present) */
  raw: Uint8Array = EMPTY;
  rawOffset = 0;

  /** 1–4, or 0 if it is none of the four */
  type = 0;
  /** bytes of the message, record header not counted; the first `present` of them are there */
  length = 0;
  present = 0;
  /** sender and receiver index; -1 where the type has none or it is not there */
  sender = -1;
  receiver = -1;
  counterHi = 0;
  counterLo = 0;

  status: Status = Status.seen;
  /** of type 4: its counter was used before in its session, whether or not it can be verified */
  repeated = false;
  /** of types 1 to 3 */
  handshake: HandshakeInfo | null = null;
  /** of type 4, when its session is known */
  direction: SessionDirection | null = null;

  /** the packet inside, with padding, when it was decrypted: inner[0, innerLength) */
  inner: Uint8Array = EMPTY;
  innerLength = 0;
  /** payload bytes of each segment, where the packet is a super-packet (offload/record.ts), whose virtio-net header is left out; else 0 */
  segmentSize = 0;

  get isKeepalive(): boolean {
    return this.type === 4 && this.length === 32;
  }

  get from(): FlowEnd {
    return (this.connection ?? this.flow!).ends[this.side];
  }

  get to(): FlowEnd {
    return (this.connection ?? this.flow!).ends[this.side === 0 ? 1 : 0];
  }

  /** seconds since the Unix epoch */
  get time(): number {
    return this.seconds + this.nanoseconds / 1e9;
  }

  /** exact up to 2^53 */
  get counter(): number {
    return this.counterHi * 2 ** 32 + this.counterLo;
  }
}
