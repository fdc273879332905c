import { endpointOf, type Endpoint } from '../address/endpoint.js';
import { parseIp } from '../address/ip.js';

/**
 * The control message: what two wirestreams tell each other inside the tunnel. docs/control.md is the same for implementers.
 *
 * It is the plaintext of a transport message, authenticated and encrypted like any packet. Its first four bits are 12; an IP packet has 4 or 6 there, and
 * every WireGuard drops other plaintexts after authentication, so that a peer which does not know the message loses nothing by it.
 *
 *     offset  size  field
 *     0       1     0xC0
 *     1       1     version of the sender, 1 or more
 *     2       2     length of the message in bytes, header included, padding not; 4 to 512, big-endian
 *     4       …     items: type (1 byte), length of the value (1 byte), value; numbers are big-endian
 *     length  …     padding, ignored: to a multiple of 16 as for any packet, or of any length in a probe
 *
 * Version rule: header, framing of items and the meaning of a type never change. A later version adds types, or appends to values. So a receiver takes what it
 * knows from a message of any version, skips types that it does not know, and ignores what follows the known part of a value. Of several items of one type
 * the first counts. A message that breaks the rules (version 0, a length out of bounds, an item that is cut off, a known value that is too short) is
 * dropped as a whole. An item that is absent says nothing.
 */

/** Byte 0. The low half is reserved and zero. */
export const CONTROL_KIND = 0xc0;
/** Of the messages that are written here. */
export const CONTROL_VERSION = 1;
export const CONTROL_HEADER_LENGTH = 4;
/** Longest message without padding, bytes: several times what version 1 needs, and no burden to anybody. */
export const CONTROL_LENGTH_MAX = 512;

/** Types of items, with the shapes of their values. */
export const enum ItemType {
  /** 2 bytes: the TCP port that the sender listens on; 0 when it does not */
  tcpPort = 1,
  /** 2 bytes: the UDP port that the sender listens on; 0 when it does not */
  udpPort = 2,
  /** 1 byte: bit 0, the sender knows that it is behind an address translation as seen from the receiver; other bits 0, ignored */
  flags = 3,
  /** 4 bytes: bit set of abilities.ts */
  abilities = 4,
  /** 2 bytes port, then 4 or 16 bytes address: where the sender sees the receiver's messages come from. Nothing can be appended: other sizes are ignored. */
  seenAt = 5,
  /** 4 bytes: an answer is asked for, on the same path and of the same size, with these bytes */
  probe = 6,
  /** 4 bytes: the answer to the probe with these bytes */
  probeAnswer = 7,
}

/** Of the flags item: behind an address translation. */
export const FLAG_TRANSLATED = 1;

/** What a control message says. What is absent is not said. */
export interface ControlMessage {
  /** 1–255 */
  readonly version: number;
  /** 0 when there is no listener */
  readonly tcpPort?: number;
  readonly udpPort?: number;
  /** as seen from the receiver, the sender is behind an address translation */
  readonly translated?: boolean;
  /** 32 bits, unsigned: abilities.ts */
  readonly abilities?: number;
  readonly seenAt?: Endpoint;
  /** 32 bits, unsigned */
  readonly probe?: number;
  readonly probeAnswer?: number;
}

/** The message's bytes, without padding. */
export function writeControl(message: ControlMessage): Uint8Array {
  const items: number[] = [];
  const item = (type: ItemType, value: readonly number[]) => items.push(type, value.length, ...value);
  if (message.tcpPort !== undefined) item(ItemType.tcpPort, be16(message.tcpPort));
  if (message.udpPort !== undefined) item(ItemType.udpPort, be16(message.udpPort));
  if (message.translated !== undefined) item(ItemType.flags, [message.translated ? FLAG_TRANSLATED : 0]);
  if (message.abilities !== undefined) item(ItemType.abilities, be32(message.abilities));
  if (message.seenAt !== undefined) {
    item(ItemType.seenAt, [...be16(message.seenAt.port), ...parseIp(message.seenAt.address)!]);
  }
  if (message.probe !== undefined) item(ItemType.probe, be32(message.probe));
  if (message.probeAnswer !== undefined) item(ItemType.probeAnswer, be32(message.probeAnswer));
  const length = CONTROL_HEADER_LENGTH + items.length;
  return Uint8Array.of(CONTROL_KIND, message.version, ...be16(length), ...items);
}

/** Whether a plaintext is meant to be a control message. */
export function isControl(bytes: Uint8Array, offset: number): boolean {
  return bytes[offset] === CONTROL_KIND;
}

/**
 * Reads the control message at `offset`, of which `available` bytes are there, padding included.
 * @returns null when it breaks the rules above
 */
export function readControl(bytes: Uint8Array, offset: number, available: number): ControlMessage | null {
  if (available < CONTROL_HEADER_LENGTH || !isControl(bytes, offset)) return null;
  const version = bytes[offset + 1]!;
  const length = read16(bytes, offset + 2);
  if (version === 0 || length < CONTROL_HEADER_LENGTH || length > CONTROL_LENGTH_MAX || length > available) return null;
  const out: Writable = { version };
  const end = offset + length;
  let at = offset + CONTROL_HEADER_LENGTH;
  while (at < end) {
    if (end - at < 2) return null;
    const size = bytes[at + 1]!;
    if (size > end - at - 2) return null;
    if (!readItem(out, bytes, bytes[at]!, at + 2, size)) return null;
    at += 2 + size;
  }
  return out;
}

type Writable = { -readonly [Key in keyof ControlMessage]: ControlMessage[Key] };

/** @returns false when the value is too short for its type */
function readItem(out: Writable, bytes: Uint8Array, type: number, at: number, size: number): boolean {
  switch (type) {
    case ItemType.tcpPort:
      if (size < 2) return false;
      out.tcpPort ??= read16(bytes, at);
      return true;
    case ItemType.udpPort:
      if (size < 2) return false;
      out.udpPort ??= read16(bytes, at);
      return true;
    case ItemType.flags:
      if (size < 1) return false;
      out.translated ??= (bytes[at]! & FLAG_TRANSLATED) !== 0;
      return true;
    case ItemType.abilities:
      if (size < 4) return false;
      out.abilities ??= read32(bytes, at);
      return true;
    case ItemType.seenAt:
      if (size < 6) return false;
      if (size === 6 || size === 18) out.seenAt ??= readEndpoint(bytes, at, size);
      return true;
    case ItemType.probe:
      if (size < 4) return false;
      out.probe ??= read32(bytes, at);
      return true;
    case ItemType.probeAnswer:
      if (size < 4) return false;
      out.probeAnswer ??= read32(bytes, at);
      return true;
    default:
      return true;
  }
}

/** The size tells the family. */
function readEndpoint(bytes: Uint8Array, at: number, size: number): Endpoint {
  return endpointOf(bytes.slice(at + 2, at + size), read16(bytes, at));
}

function be16(value: number): [number, number] {
  return [value >>> 8, value & 0xff];
}

function be32(value: number): [number, number, number, number] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}

function read16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

function read32(bytes: Uint8Array, at: number): number {
  return read16(bytes, at) * 0x10000 + read16(bytes, at + 2);
}
