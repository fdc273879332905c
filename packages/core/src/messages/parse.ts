import {
  COOKIE_REPLY_LENGTH,
  INITIATION_LENGTH,
  MessageType,
  RESPONSE_LENGTH,
  TRANSPORT_MIN_LENGTH,
} from './constants.js';

/**
 * Reading messages where they lie. Nothing here allocates, and nothing reads outside `length` bytes at `offset` once
 * `classify` has said what the message is.
 */

/**
 * What the `length` bytes at `offset` are, judged by type byte, reserved bytes and length alone, as the kernel's
 * receive.c does: the three types of fixed size have exactly that size, transport messages at least 32 bytes.
 * @returns MessageType.invalid for everything else; never throws
 */
export function classify(bytes: Uint8Array, offset: number, length: number): MessageType {
  if (length < TRANSPORT_MIN_LENGTH || offset < 0 || offset + length > bytes.length) return MessageType.invalid;
  if ((bytes[offset + 1]! | bytes[offset + 2]! | bytes[offset + 3]!) !== 0) return MessageType.invalid;
  switch (bytes[offset]) {
    case MessageType.transport:
      return MessageType.transport;
    case MessageType.initiation:
      return length === INITIATION_LENGTH ? MessageType.initiation : MessageType.invalid;
    case MessageType.response:
      return length === RESPONSE_LENGTH ? MessageType.response : MessageType.invalid;
    case MessageType.cookieReply:
      return length === COOKIE_REPLY_LENGTH ? MessageType.cookieReply : MessageType.invalid;
    default:
      return MessageType.invalid;
  }
}

/** Unsigned 32 bits, little-endian. */
export function readU32(bytes: Uint8Array, offset: number): number {
  return (bytes[offset]! | (bytes[offset + 1]! << 8) | (bytes[offset + 2]! << 16) | (bytes[offset + 3]! << 24)) >>> 0;
}

/** The sender index of an initiation or a response. */
export function senderIndex(bytes: Uint8Array, offset: number): number {
  return readU32(bytes, offset + 4);
}

/** The receiver index of a response, cookie reply or transport message; an initiation has none. */
export function receiverIndex(bytes: Uint8Array, offset: number): number {
  return readU32(bytes, offset + (bytes[offset] === MessageType.response ? 8 : 4));
}

/** The upper 32 bits of a transport message's counter. */
export function counterHi(bytes: Uint8Array, offset: number): number {
  return readU32(bytes, offset + 12);
}

/** The lower 32 bits of a transport message's counter. */
export function counterLo(bytes: Uint8Array, offset: number): number {
  return readU32(bytes, offset + 8);
}

/** Where MAC1 begins in an initiation or response of `length` bytes; the last 32 bytes are MAC1 and MAC2. */
export function mac1Offset(length: number): number {
  return length - 32;
}

/** Where MAC2 begins. */
export function mac2Offset(length: number): number {
  return length - 16;
}
